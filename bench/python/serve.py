"""Answer POST /predict with FastAPI and ONNX Runtime: what most teams would put in front of such a model.

BUNDLE names the model bundle. Started by uvicorn: `uvicorn --app-dir bench/python serve:app`.
"""

import os
import zipfile
from typing import Annotated

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, Field

Amount = Annotated[int | None, Field(ge=0, le=2_796_202)]
Balance = Annotated[int | None, Field(ge=-2_796_202, le=2_796_202)]
Status = Annotated[int | None, Field(ge=-2, le=9)]


class Features(BaseModel):
    """The features, each within the contract's range, or null."""

    limit_bal: Annotated[int | None, Field(ge=1, le=2_796_202)]
    sex: Annotated[int | None, Field(ge=1, le=2)]
    education: Annotated[int | None, Field(ge=0, le=6)]
    marriage: Annotated[int | None, Field(ge=0, le=3)]
    age: Annotated[int | None, Field(ge=18, le=120)]
    pay_0: Status
    pay_2: Status
    pay_3: Status
    pay_4: Status
    pay_5: Status
    pay_6: Status
    bill_amt1: Balance
    bill_amt2: Balance
    bill_amt3: Balance
    bill_amt4: Balance
    bill_amt5: Balance
    bill_amt6: Balance
    pay_amt1: Amount
    pay_amt2: Amount
    pay_amt3: Amount
    pay_amt4: Amount
    pay_amt5: Amount
    pay_amt6: Amount


class Request(BaseModel):
    """What is asked."""

    features: Features


class Answer(BaseModel):
    """What is answered."""

    default_probability: float
    default_prediction: int
    decision: str


def open_model(bundle: str) -> onnxruntime.InferenceSession:
    """Open a bundle's graph on one thread: a row is too little work for two."""
    with zipfile.ZipFile(bundle) as archive:
        graph = archive.read("model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


model = open_model(os.environ["BUNDLE"])
app = FastAPI()


@app.get("/healthz")
async def healthz() -> str:
    """Say that the process lives."""
    return "ok"


@app.post("/predict")
async def predict(request: Request) -> Answer:
    """Score one application. On the event loop: a thread would cost more than the model."""
    row = np.array([list(request.features.__dict__.values())], dtype=np.float32)
    p = float(model.run(["probabilities"], {"features": row})[0][0, 1])
    decision = "approve" if p < 0.2 else "decline" if p >= 0.45 else "refer"
    return Answer(default_probability=p, default_prediction=int(p >= 0.5), decision=decision)
