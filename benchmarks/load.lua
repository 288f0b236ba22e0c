-- For wrk: walks once through requests that were written beforehand (benchmarks/webhooks.py), so that the generator
-- spends its time on sending. With BENCH_PAUSE_MS each connection waits that long before its next request.
local requests = {}
local position = 0

function init()
    local file = assert(io.open(assert(os.getenv("BENCH_REQUESTS")), "rb"))
    local all = file:read("*a")
    file:close()
    local start = 1
    while start < #all do
        -- Each request stands behind its length in eight digits.
        local length = tonumber(all:sub(start, start + 7))
        requests[#requests + 1] = all:sub(start + 8, start + 7 + length)
        start = start + 8 + length
    end
end

function request()
    position = position + 1
    return requests[(position - 1) % #requests + 1]
end

local pause = tonumber(os.getenv("BENCH_PAUSE_MS") or "")
if pause then
    function delay() return pause end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f}\n',
        summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
        summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        latency:percentile(99.9) / 1e3))
end
