"""Runs a command and says how long it took, how much memory it held, and whether something else disturbed it."""
import os
import subprocess
import tempfile
import time

# Share of the machine that other processes may use while a sample is taken.
QUIET_SHARE = 0.04
# A fixed loop may be this much slower than its best time: other machines on the same host do not show in /proc/stat.
PROBE_SLACK = 1.15


def busy_seconds():
    """CPU seconds that all processes of this machine have used."""
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def probe_seconds():
    """Best of three runs of a fixed loop."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        total = 0
        for i in range(1_000_000):
            total += i & 7
        best = min(best, time.perf_counter() - begin)
    return best


class Machine:
    """Watches for disturbance."""

    def __init__(self):
        self.best_probe = probe_seconds()

    def wait_until_quiet(self, limit_s):
        """True as soon as a second passes in which others leave the machine alone."""
        end = time.monotonic() + limit_s
        while True:
            begin, used = time.monotonic(), busy_seconds()
            time.sleep(1)
            share = (busy_seconds() - used) / ((time.monotonic() - begin) * os.cpu_count())
            if share < QUIET_SHARE:
                return True
            if time.monotonic() > end:
                return False

    def probe(self):
        """How much slower than the best the fixed loop is now, 1 = as fast."""
        now = probe_seconds()
        self.best_probe = min(self.best_probe, now)
        return now / self.best_probe

    def run(self, command, env=None, cwd=None):
        """Runs to the end. Returns stdout, seconds, peak_bytes, others (share of the machine), disturbed."""
        slow = self.probe()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            begin, used = time.monotonic(), busy_seconds()
            process = subprocess.Popen(command, stdout=out, stderr=err, env=env, cwd=cwd)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begin
            own = usage.ru_utime + usage.ru_stime
            others = max(0.0, busy_seconds() - used - own) / (seconds * os.cpu_count())
            slow = max(slow, self.probe())
            out.seek(0)
            err.seek(0)
            if process.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{err.read()[-3000:]}")
            return {"stdout": out.read(), "seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024, "others": others,
                    "probe": slow, "disturbed": others > QUIET_SHARE or slow > PROBE_SLACK}
