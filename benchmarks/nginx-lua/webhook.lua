-- What nginx does with a webhook: HMAC-SHA256 over the raw body by OpenSSL, a comparison in constant time, and the body
-- into a buffer that goes to a file when it holds 64 KB. The file is never synced.
local ffi = require "ffi"

ffi.cdef [[
typedef struct hmac_ctx_st HMAC_CTX;
typedef struct evp_md_st EVP_MD;
HMAC_CTX *HMAC_CTX_new(void);
int HMAC_CTX_copy(HMAC_CTX *to, HMAC_CTX *from);
int HMAC_Init_ex(HMAC_CTX *context, const void *key, int length, const EVP_MD *digest, void *engine);
int HMAC_Update(HMAC_CTX *context, const char *bytes, size_t length);
int HMAC_Final(HMAC_CTX *context, unsigned char *code, unsigned int *length);
const EVP_MD *EVP_sha256(void);
int CRYPTO_memcmp(const void *a, const void *b, size_t length);
int open(const char *path, int flags, int mode);
long write(int descriptor, const char *bytes, size_t length);
]]

local crypto = ffi.C
local secret = assert(os.getenv("META_APP_SECRET"), "META_APP_SECRET is not set")
local path = assert(os.getenv("WEBHOOK_FILE"), "WEBHOOK_FILE is not set")

-- The key is mixed in once; each webhook starts from a copy of that state.
local keyed, context = crypto.HMAC_CTX_new(), crypto.HMAC_CTX_new()
assert(crypto.HMAC_Init_ex(keyed, secret, #secret, crypto.EVP_sha256(), nil) == 1)
local code = ffi.new("unsigned char[32]")
local expected = ffi.new("char[64]")
local digits = {}
for value = 0, 15 do digits[value] = string.byte("0123456789abcdef", value + 1) end

local function authentic(body, header)
    if not body or not header or #header ~= 71 or header:sub(1, 7) ~= "sha256=" then return false end
    crypto.HMAC_CTX_copy(context, keyed)
    crypto.HMAC_Update(context, body, #body)
    crypto.HMAC_Final(context, code, nil)
    for index = 0, 31 do
        local byte = code[index]
        expected[2 * index] = digits[bit.rshift(byte, 4)]
        expected[2 * index + 1] = digits[bit.band(byte, 15)]
    end
    return crypto.CRYPTO_memcmp(expected, ffi.cast("const char *", header) + 7, 64) == 0
end

local O_WRONLY_CREAT_APPEND = 0x441
local descriptor
local waiting, count, bytes = {}, 0, 0

local function keep(body)
    count = count + 1
    waiting[count] = body
    bytes = bytes + #body
    if bytes < 65536 then return end
    descriptor = descriptor or crypto.open(path, O_WRONLY_CREAT_APPEND, 384)
    local block = table.concat(waiting, "\n", 1, count)
    crypto.write(descriptor, block, #block)
    count, bytes = 0, 0
end

local webhook = {}

function webhook.receive()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not authentic(body, ngx.var.http_x_hub_signature_256) then return ngx.exit(401) end
    keep(body)
    ngx.header["Content-Length"] = 0
    return ngx.exit(200)
end

return webhook
