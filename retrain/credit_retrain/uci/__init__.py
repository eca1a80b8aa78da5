"""The UCI credit card data: everything that names one of their columns."""
