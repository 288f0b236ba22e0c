"""Signed WhatsApp webhooks, each with a message id of its own, as complete HTTP requests for wrk (benchmarks/load.lua)."""

import hashlib
import hmac
import random

APP_SECRET = "benchmark-app-secret"
PHONE_NUMBER_ID = "106540352242922"
BUSINESS_ACCOUNT_ID = "102290129340398"
FIRST_TENANT = 447_700_000_000

WORDS = ("the boiler is loud again and water drips under the sink could somebody come before friday please thank you "
         "rent keys window heating landlord when how much door lock bathroom light").split()


def tenant(index: int) -> int:
    """The phone number of a tenant of the benchmark."""
    return FIRST_TENANT + index


def body(number: int, sender: int, rng: random.Random) -> bytes:
    text = " ".join(rng.choices(WORDS, k=rng.randint(4, 24)))
    seconds = 1_767_225_600 + number % 10_000_000
    return (
        '{"object":"whatsapp_business_account","entry":[{"id":"%s","changes":[{"value":{"messaging_product":"whatsapp",'
        '"metadata":{"display_phone_number":"441632960000","phone_number_id":"%s"},"contacts":[{"profile":{"name":'
        '"Tenant %d"},"wa_id":"%d"}],"messages":[{"from":"%d","id":"wamid.HBgMNDQ3NzAw%032X","timestamp":"%d",'
        '"text":{"body":"%s"},"type":"text"}]},"field":"messages"}]}]}'
        % (BUSINESS_ACCOUNT_ID, PHONE_NUMBER_ID, sender % 100_000, sender, sender, number, seconds, text)
    ).encode()


def request(payload: bytes) -> bytes:
    """As Meta sends it, headers included."""
    sha1 = hmac.new(APP_SECRET.encode(), payload, hashlib.sha1).hexdigest()
    sha256 = hmac.new(APP_SECRET.encode(), payload, hashlib.sha256).hexdigest()
    head = (
        "POST /api/webhooks/meta HTTP/1.1\r\nHost: localhost\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
        "Accept-Encoding: deflate, gzip\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        "X-Hub-Signature: sha1=%s\r\nX-Hub-Signature-256: sha256=%s\r\n\r\n" % (len(payload), sha1, sha256)
    )
    return head.encode() + payload


def write(path: str, first: int, count: int, tenants: int) -> None:
    """Writes the requests number `first` to `first + count - 1`; the same numbers always give the same requests."""
    rng = random.Random(first)
    with open(path, "wb", buffering=1 << 20) as file:
        for number in range(first, first + count):
            # Some tenants write far more than others.
            sender = tenant(min(int(rng.paretovariate(0.5)), tenants) - 1)
            complete = request(body(number, sender, rng))
            file.write(b"%08d" % len(complete))
            file.write(complete)
