"""Starts and stops what is measured: nginx with Lua, and the gateway with its private PostgreSQL."""

import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import processes
import webhooks
from report import note

ROOT = pathlib.Path(__file__).resolve().parent.parent
GATEWAY = ROOT / ".build/release/zenrent-gateway"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Workplace:
    """A temporary directory with a certificate; goes with everything in it."""

    def __enter__(self) -> "Workplace":
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="zenrent-bench-"))
        self.certificates = self.path / "certs"
        self.certificates.mkdir()
        key = self.certificates / "privkey.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key,
             "-out", self.certificates / "fullchain.pem"],
            check=True, stderr=subprocess.DEVNULL)
        key.chmod(0o600)
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Server:
    """A process that is stopped when the block ends."""

    def __init__(self, command: list, environment: dict, log: pathlib.Path, core: int | None):
        self.port = 0
        self.log = log
        self.command, self.environment, self.core = command, environment, core
        self.start()

    def start(self) -> None:
        """Also again, after the process ended."""
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment}, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=None if self.core is None else lambda: os.sched_setaffinity(0, {self.core}))
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for(self, answers, what: str, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while not answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise SystemExit(f"bench: {what} did not start; the last lines of its log:\n{tail}")
            time.sleep(0.1)


class Nginx(Server):
    configuration = "nginx-lua"

    def __init__(self, workplace: Workplace, core: int | None):
        directory = workplace.path / self.configuration
        directory.mkdir()
        port = free_port()
        source = ROOT / "benchmarks" / self.configuration
        text = (source / "nginx.conf.in").read_text()
        for key, value in {"directory": directory, "scripts": source, "port": port,
                           "certificates": workplace.certificates}.items():
            text = text.replace(f"@{key}@", str(value))
        (directory / "nginx.conf").write_text(text)
        super().__init__(
            ["nginx", "-p", "/usr/lib/nginx" if os.path.isdir("/usr/lib/nginx") else "/usr/share/nginx",
             "-c", directory / "nginx.conf"],
            {"META_APP_SECRET": webhooks.APP_SECRET, "WEBHOOK_FILE": str(directory / "webhooks.log")},
            directory / "output.log", core)
        self.port = port
        self.wait_for(lambda: listens(port), "nginx", 10)


class StaticNginx(Nginx):
    """Answers every webhook, whatever its signature."""

    configuration = "nginx-static"


class Gateway(Server):
    """`serve --private-postgres`, with a database of its own that goes when the block ends."""

    def __init__(self, workplace: Workplace, core: int | None, postgres_core: int | None):
        if not GATEWAY.exists():
            raise SystemExit(f"bench: {GATEWAY} is missing; run script/bench, which builds it")
        data = workplace.path / "data"
        data.mkdir()
        self.port, self.operations_port = free_port(), free_port()
        before = processes.postmasters()
        ingress_port = self.port
        super().__init__(
            [GATEWAY, "serve", "--private-postgres"],
            {
                "GATEWAY_DATA_DIR": str(data), "GATEWAY_CERTS_DIR": str(workplace.certificates),
                "GATEWAY_RULES_DIR": str(ROOT / "routing-rules"), "GATEWAY_BIND": "127.0.0.1",
                "GATEWAY_INGRESS_PORT": str(ingress_port), "GATEWAY_API_PORT": str(free_port()),
                "GATEWAY_OPS_PORT": str(self.operations_port), "META_APP_SECRET": webhooks.APP_SECRET,
                "META_WEBHOOK_VERIFY_TOKEN": "benchmark", "META_GRAPH_URL": "http://127.0.0.1:9",
                "WHATSAPP_PHONE_NUMBER_ID": webhooks.PHONE_NUMBER_ID,
                "WHATSAPP_BUSINESS_ACCOUNT_ID": webhooks.BUSINESS_ACCOUNT_ID, "WHATSAPP_ACCESS_TOKEN": "benchmark",
                "SUPABASE_JWT_SECRET": "benchmark-secret-of-at-least-32-bytes", "ENCRYPTION_KEY": "00" * 32,
            },
            workplace.path / "gateway.log", core)
        self.port = ingress_port
        try:
            self.wait_for(self.is_ready, "the gateway", 120)
            new = processes.postmasters() - before
            if len(new) != 1:
                raise SystemExit(f"bench: {len(new)} PostgreSQL servers started meanwhile, not one; run it again alone")
            self.postgres = Postgres(new.pop(), postgres_core)
        except BaseException:
            super().__exit__()
            raise

    def __exit__(self, *_) -> None:
        super().__exit__()
        self.postgres.remove()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operations_port}/readyz", timeout=2) as answer:
                return answer.status == 200 and b'"degraded":[]' in answer.read()
        except (urllib.error.URLError, OSError):
            return False


class Postgres:
    """The private cluster that a gateway started."""

    def __init__(self, pid: int, core: int | None):
        self.pid = pid
        self.data = pathlib.Path(os.readlink(f"/proc/{pid}/cwd"))
        self.owner = self.data.stat().st_uid
        self.sockets = (self.data / "postmaster.pid").read_text().splitlines()[4].strip()
        if core is not None:
            for process in self.processes():
                processes.pin(process, core)
        names = self.query("SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1'", "postgres")
        self.database = next(
            (name for name in names.split() if self.query("SELECT to_regnamespace('gateway') IS NOT NULL", name) == "t"),
            "postgres")

    def processes(self) -> list[int]:
        return [self.pid, *processes.children(self.pid)]

    def start(self, sql: str, database: str | None = None) -> subprocess.Popen:
        """psql, as the cluster's superuser, with its output to come."""
        script = tempfile.TemporaryFile("w+")
        script.write(sql)
        script.seek(0)
        return subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.sockets, "-U", "postgres",
             "-d", database or self.database, "-f", "-"],
            stdin=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=self.owner,
            env={"PATH": os.environ["PATH"]}, cwd="/")

    def query(self, sql: str, database: str | None = None) -> str:
        """One value, or a column."""
        psql = self.start(sql, database)
        output, errors = psql.communicate()
        if psql.returncode != 0:
            raise SystemExit(f"bench: psql: {errors.strip()}")
        return output.strip()

    def pause(self) -> None:
        self.stopped = self.processes()
        for process in self.stopped:
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self.stopped:
            try:
                os.kill(process, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def remove(self) -> None:
        """The gateway has asked it to stop, which takes a checkpoint; for root it lived outside the workplace."""
        for _ in range(600):
            if not (self.data / "postmaster.pid").exists():
                shutil.rmtree(self.data.parent, ignore_errors=True)
                return
            time.sleep(0.1)
        note(f"PostgreSQL {self.pid} does not end; {self.data.parent} is left")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_answers(server: Server) -> None:
    """A server that takes what it should refuse, or refuses what it should take, is not measured."""
    context = ssl._create_unverified_context()
    good = webhooks.request(webhooks.body(0, webhooks.tenant(0), random.Random(0)))
    for message, wanted in ((good, b"200"), (tampered(good), b"401")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(message)
                status = secure.recv(4096).split(b" ", 2)[1]
        if status != wanted:
            raise SystemExit(f"bench: answered {status.decode()} where {wanted.decode()} was due")
    note(f"port {server.port} answers 200 to a good signature and 401 to a bad one")


def tampered(request: bytes) -> bytes:
    """The same request with one letter of its text changed."""
    return request.replace(b'"type":"text"', b'"type":"tExt"')
