"""Makes gp.json: Gaussian-process predictions of scikit-learn at given hyperparameters, for tests/it/gp.rs.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1
    venv/bin/python gp.py            # writes gp.json beside itself

Inputs and responses are drawn here from a seeded generator; nothing is measured.
"""

import json
import pathlib
import platform

import numpy
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

random = numpy.random.default_rng(7)
cases = []
for rows, inputs in [(12, 1), (40, 3), (60, 5)]:
    x = random.normal(size=(rows, inputs))
    y = numpy.sin(x[:, 0]) * 0.1 + 0.02 * random.normal(size=rows)
    at = random.normal(size=(6, inputs)) * 2
    amplitude, noise = 0.08, 0.015
    scales = [float(s) for s in random.uniform(0.5, 3.0, size=inputs)]
    kernel = ConstantKernel(amplitude**2) * Matern(scales, nu=2.5) + WhiteKernel(noise**2)
    # the jitter that the Rust code adds, relative to the amplitude
    gp = GaussianProcessRegressor(kernel, alpha=1e-10 * amplitude**2, optimizer=None).fit(x, y)
    mean, sd = gp.predict(at, return_std=True)
    cases.append(
        {
            "x": x.tolist(),
            "y": y.tolist(),
            "amplitude": amplitude,
            "noise": noise,
            "length_scales": scales,
            "at": at.tolist(),
            "mean": mean.tolist(),
            # scikit-learn's standard deviation includes the noise
            "sd": sd.tolist(),
        }
    )
versions = {"python": platform.python_version(), "numpy": numpy.__version__, "scikit-learn": sklearn.__version__}
text = json.dumps({"made_by": "gp.py", "versions": versions, "cases": cases})
(pathlib.Path(__file__).parent / "gp.json").write_text(text + "\n")
