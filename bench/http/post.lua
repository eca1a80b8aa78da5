-- Posts real applications, another one each time, and prints one line of JSON.
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local requests = {}
local i = 0

function init()
  for k, body in ipairs(bodies) do requests[k] = wrk.format(nil, nil, nil, body) end
end

function request()
  i = i % #requests + 1
  return requests[i]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
