"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // it would send the document elsewhere
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
});
