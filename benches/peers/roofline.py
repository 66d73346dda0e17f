"""How long scipy's least_squares and scikit-learn's GaussianProcessRegressor take on the runs of one accelerator.

The law is that of the prototype in ../shared/prototype: 16 parameters and 7 inputs, against 30 and 12 in wattlaw. Prints what takes
how many seconds, tab-separated, and the versions on standard error.
Usage: roofline.py RUNS.csv PROTOTYPE_FOLDER
"""

import sys
import time

import numpy
import scipy
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

sys.path.insert(0, sys.argv[2])
import roofline_gp  # noqa: E402

REPEATS = 5


def median(of):
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        of()
        times.append(time.perf_counter() - start)
    return sorted(times)[REPEATS // 2]


runs = roofline_gp.load(sys.argv[1])
runs = runs[runs.gpu.str.contains("A100") & (runs.family == "gpt")]
theta = roofline_gp.fit(runs)
features = roofline_gp.features(runs)
features = (features - features.mean(0)) / (features.std(0) + 1e-9)
residuals = numpy.log(runs.energy_kwh.values * 3.6e6) - roofline_gp.ln_energy(theta, runs)
# hyperparameters of a smooth function of seven inputs, from one start, as wattlaw learns them
kernel = ConstantKernel(0.01) * RBF([1.0] * features.shape[1], (0.2, 50)) + WhiteKernel(0.005, (1e-5, 0.1))


def gp():
    return GaussianProcessRegressor(kernel).fit(features, residuals)


learnt = gp()
print(f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, numpy {numpy.__version__}, {len(runs)} runs", file=sys.stderr)
print(f"scipy least_squares, 16 parameters\t{median(lambda: roofline_gp.fit(runs)):.6f}")
print(f"scikit-learn GaussianProcessRegressor, one response\t{median(gp):.6f}")
print(f"scikit-learn, one prediction with its deviation\t{median(lambda: learnt.predict(features[:1], return_std=True)):.6f}")
