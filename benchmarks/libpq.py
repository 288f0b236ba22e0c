"""A connection to PostgreSQL by its own client library: for what psql cannot do, such as hearing notifications."""

import ctypes
import ctypes.util
import os
import select

LIBRARY = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
LIBRARY.PQconnectdb.restype = LIBRARY.PQexec.restype = LIBRARY.PQnotifies.restype = ctypes.c_void_p
LIBRARY.PQconnectdb.argtypes = [ctypes.c_char_p]
LIBRARY.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
LIBRARY.PQerrorMessage.restype = LIBRARY.PQgetvalue.restype = ctypes.c_char_p
LIBRARY.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
for name in ("PQstatus", "PQresultStatus", "PQerrorMessage", "PQclear", "PQfinish", "PQsocket", "PQconsumeInput",
             "PQnotifies", "PQfreemem", "PQntuples"):
    getattr(LIBRARY, name).argtypes = [ctypes.c_void_p]


class Connection:
    def __init__(self, sockets: str, database: str, owner: int):
        """As the cluster's superuser; `owner` is who may enter the directory of the sockets."""
        before = os.geteuid()
        os.seteuid(owner)
        try:
            self.handle = LIBRARY.PQconnectdb(f"host='{sockets}' user=postgres dbname='{database}'".encode())
        finally:
            os.seteuid(before)
        if LIBRARY.PQstatus(self.handle) != 0:
            raise SystemExit(f"bench: {LIBRARY.PQerrorMessage(self.handle).decode().strip()}")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        LIBRARY.PQfinish(self.handle)

    def execute(self, sql: str) -> str:
        """The first value of the last statement."""
        result = LIBRARY.PQexec(self.handle, sql.encode())
        if LIBRARY.PQresultStatus(result) not in (1, 2):
            raise SystemExit(f"bench: {LIBRARY.PQerrorMessage(self.handle).decode().strip()}")
        value = LIBRARY.PQgetvalue(result, 0, 0).decode() if LIBRARY.PQntuples(result) > 0 else ""
        LIBRARY.PQclear(result)
        return value

    def wait_for_notification(self, seconds_max: float = 10) -> None:
        while not (found := LIBRARY.PQnotifies(self.handle)):
            if not select.select([LIBRARY.PQsocket(self.handle)], [], [], seconds_max)[0]:
                raise SystemExit(f"bench: no notification came in {seconds_max:.0f} s")
            LIBRARY.PQconsumeInput(self.handle)
        LIBRARY.PQfreemem(found)
