-- Routes requests as an Application Load Balancer does: rules in order, then the action's weights.
-- The table comes from Python as a Lua literal (shipit/sandbox/routing.py) and is replaced whole.

local routes = { version = 0, listeners = {}, stuck = {} }

math.randomseed(os.time() * 1000 + core.now().usec % 1000)

local function matches_any(patterns, text)
  for _, pattern in ipairs(patterns) do
    if text:match(pattern) then return true end
  end
  return false
end

local function host_of(txn)
  return (txn.sf:req_hdr("host"):lower():gsub(":%d+$", ""))
end

local function address_number(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  return a and ((a * 256 + b) * 256 + c) * 256 + d
end

local checks = {}

function checks.path(txn, condition) return matches_any(condition.patterns, txn.sf:path()) end

function checks.host(txn, condition) return matches_any(condition.patterns, host_of(txn)) end

function checks.method(txn, condition) return matches_any(condition.patterns, txn.sf:method()) end

function checks.header(txn, condition)
  for _, value in pairs(txn.http:req_get_headers()[condition.name] or {}) do
    if matches_any(condition.patterns, value:lower()) then return true end
  end
  return false
end

function checks.query(txn, condition)
  for pair in txn.sf:query():lower():gmatch("[^&]+") do
    local key, value = pair:match("^([^=]*)=?(.*)$")
    for _, wanted in ipairs(condition.pairs) do
      if (not wanted.key or key:match(wanted.key)) and value:match(wanted.value) then return true end
    end
  end
  return false
end

function checks.source(txn, condition)
  local number = address_number(txn.sf:src())
  for _, range in ipairs(condition.ranges) do
    if number and range.first <= number and number <= range.last then return true end
  end
  return false
end

local function matches(txn, rule)
  for _, condition in ipairs(rule.conditions) do
    if not checks[condition.field](txn, condition) then return false end
  end
  return true
end

local function answer(txn, status, headers, body)
  headers["server"] = { "awselb/2.0" }
  txn:done(txn:reply({ status = status, headers = headers, body = body }))
end

local actions = {}

function actions.fixed(txn, action)
  answer(txn, action.status, { ["content-type"] = { action.content_type } }, action.body)
end

function actions.redirect(txn, action, listener)
  local known = {
    protocol = listener.proto, host = host_of(txn), port = tostring(listener.port),
    path = txn.sf:path():sub(2), query = txn.sf:query(),
  }
  local location = action.location:gsub("#{(%w+)}", known):gsub("%?$", "")
  answer(txn, action.status, { location = { location } }, "")
end

local function by_weight(action)
  if action.total == 0 then return nil end
  local ticket = math.random(action.total)
  for _, group in ipairs(action.groups) do
    ticket = ticket - group.weight
    if ticket <= 0 then return group end
  end
end

-- A cookie is "<token>-<unix time in hex>"; after that time, or when its group left the action, it counts for nothing.
local function token_in(txn, cookie)
  local value = txn.sf:req_cook(cookie)
  if value == "" then value = txn.sf:req_cook(cookie .. "CORS") end
  local token, expires = value:match("^(%x+)-(%x+)$")
  if token and tonumber(expires, 16) >= os.time() then return token end
end

local function group_of_cookie(txn, action)
  local token = token_in(txn, "AWSALBTG")
  if not token then return nil end
  for _, group in ipairs(action.groups) do
    if group.token == token then return group end
  end
end

function actions.forward(txn, action)
  local group = action.sticky_seconds and group_of_cookie(txn, action) or by_weight(action)
  if not group then return end
  txn:set_var("txn.group", group.backend)
  if action.sticky_seconds then
    txn:set_var("txn.group_cookie", group.token)
    txn:set_var("txn.group_seconds", action.sticky_seconds)
    txn:set_var("txn.sticky", 1)
  end
  local stuck = routes.stuck[group.backend]
  if not stuck then return end
  txn:set_var("txn.target_seconds", stuck.seconds)
  txn:set_var("txn.sticky", 1)
  local server = stuck.servers[token_in(txn, "AWSALB") or ""]
  if server then txn:set_var("txn.target", server) end
end

core.register_action("route", { "http-req" }, function(txn, number)
  local listener = routes.listeners[tonumber(number)]
  if not listener then return end
  txn:set_var("txn.proto", listener.proto)
  txn:set_var("txn.port", listener.port)
  txn:set_var("txn.trace", string.format("1-%08x-%012x%012x", os.time(), math.random(0, 0xffffffffff), math.random(0, 0xffffffffff)))
  for _, rule in ipairs(listener.rules) do
    if matches(txn, rule) then return actions[rule.action.kind](txn, rule.action, listener) end
  end
end, 1)

local function set_cookie(txn, name, token, seconds)
  local expires = os.time() + seconds
  local value = string.format("%s-%x; Expires=%s; Path=/", token, expires, os.date("!%a, %d %b %Y %H:%M:%S GMT", expires))
  txn.http:res_add_header("set-cookie", name .. "=" .. value)
  txn.http:res_add_header("set-cookie", name .. "CORS=" .. value .. "; SameSite=None; Secure")
end

core.register_action("stick", { "http-res" }, function(txn)
  local group, seconds = txn:get_var("txn.group_cookie"), txn:get_var("txn.target_seconds")
  if group then set_cookie(txn, "AWSALBTG", group, txn:get_var("txn.group_seconds")) end
  local stuck = seconds and routes.stuck[txn:get_var("txn.group")]
  local token = stuck and stuck.tokens[txn.sf:srv_name()]
  if token then set_cookie(txn, "AWSALB", token, seconds) end
end, 0)

core.register_cli({ "shipit", "load" }, "shipit load <file> : replace the routing table", function(applet, _, _, path)
  local chunk, problem = loadfile(path, "t", {})
  if not chunk then
    applet:send("refused: " .. problem .. "\n")
    return
  end
  routes = chunk()
  applet:send("version " .. routes.version .. "\n")
end)

core.register_cli({ "shipit", "version" }, "shipit version : version of the routing table", function(applet)
  applet:send("version " .. routes.version .. "\n")
end)
