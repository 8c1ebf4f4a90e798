import { PassThrough } from "node:stream"
import { describe, expect, it } from "vitest"
import { type Call, RpcServer } from "../../src/mcp/json-rpc.js"
import { mcpHandler, type RunTool } from "../../src/mcp/server.js"

interface Answer {
  id?: unknown
  result?: Record<string, unknown>
  error?: { code: number; message: string }
}

/** A client of a server whose tools `run` carries out. */
class Peer {
  readonly input = new PassThrough()
  readonly sent: Answer[] = []
  readonly bugs: string[] = []
  readonly over: Promise<void>
  isBroken = false

  constructor(handle: (call: Call) => Promise<Record<string, unknown> | undefined>) {
    const write = async (line: string) => {
      await Promise.resolve()
      if (this.isBroken) throw new Error("EPIPE")
      this.sent.push(JSON.parse(line) as Answer)
    }
    const server = new RpcServer({ input: this.input, write, handle, onBug: (line) => this.bugs.push(line) })
    this.over = server.run()
  }

  /** Sends lines, ends the input, and returns all answers. */
  async say(...lines: (string | object)[]): Promise<Answer[]> {
    for (const line of lines) this.input.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`)
    this.input.end()
    await this.over
    return this.sent
  }
}

const request = (id: unknown, method: string, params?: object) => ({ jsonrpc: "2.0", id, method, params })
const call = (id: unknown, name: string, args: object, meta?: object) =>
  request(id, "tools/call", { name, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) })

const echo: RunTool = ({ call: { operation } }) => Promise.resolve({ text: operation, isError: false })
const peer = (run: RunTool = echo) => new Peer(mcpHandler("1.2.3", run))

describe("the MCP server", () => {
  it.each([
    ["{", -32_700],
    ["nonsense", -32_700],
    ["[]", -32_600],
    ["7", -32_600],
    ['{"jsonrpc":"1.0","id":1,"method":"ping"}', -32_600],
    ['{"jsonrpc":"2.0","id":{},"method":"ping"}', -32_600],
    ['{"jsonrpc":"2.0","id":1,"method":7}', -32_600],
    ['{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"no/such"}', -32_601],
    ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32_601],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nope"}}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"2"}}', -32_602],
  ])("answers %s with the error %i, and the next request as usual", async (line, code) => {
    const answers = await peer().say(line, request(99, "ping"))
    expect(answers.map(({ error }) => error?.code)).toContain(code)
    expect(answers).toContainEqual({ jsonrpc: "2.0", id: 99, result: {} })
  })

  it("refuses a line of more than 4 MiB without keeping it, and reads on", async () => {
    const long = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${"x".repeat(5 * 1024 * 1024)}"}}`
    const answers = await peer().say(long, request(2, "ping"))
    expect(answers).toHaveLength(2)
    expect(answers[0]).toMatchObject({ id: null, error: { code: -32_700 } })
    expect(answers[1]).toMatchObject({ id: 2, result: {} })
  })

  it("reads a character that is split between two chunks, and a last line without newline", async () => {
    const client = peer()
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":"é","method":"ping"}')
    const middle = bytes.indexOf(0xc3) + 1
    client.input.write(bytes.subarray(0, middle))
    client.input.end(bytes.subarray(middle))
    await client.over
    expect(client.sent).toEqual([{ jsonrpc: "2.0", id: "é", result: {} }])
  })

  it("answers no notification and no answer of the client", async () => {
    const lines = [
      { jsonrpc: "2.0", method: "notifications/initialized" },
      { jsonrpc: "2.0", method: "notifications/unknown", params: { a: 1 } },
      { jsonrpc: "2.0", id: 4, result: {} },
      "",
    ]
    expect(await peer().say(...lines)).toEqual([])
  })

  it("answers the requests of a batch together", async () => {
    const answers = (await peer().say(JSON.stringify([request(1, "ping"), request(2, "nope")]))) as unknown[]
    expect(answers).toHaveLength(1)
    expect((answers[0] as Answer[]).map(({ id }) => id)).toEqual([1, 2])
  })

  it("answers a second call while the first one still runs", async () => {
    let release = () => {}
    const first = new Promise<void>((resolve) => (release = resolve))
    const client = peer(async ({ call: { operation } }) => {
      if (operation === "inbox") await first
      else release()
      return { text: operation, isError: false }
    })
    const answers = await client.say(call(1, "inbox", {}), call(2, "status", {}))
    expect(answers.map(({ id }) => id)).toEqual([2, 1])
  })

  it("interrupts calls when the input ends, and when the client cancels them", async () => {
    const ended: unknown[] = []
    const run: RunTool = async ({ signal, answer }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve))
      ended.push(await answer({ text: "late", isError: false }).catch((error: unknown) => String(error)))
      return undefined
    }
    const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } }
    const answers = await peer(run).say(call(1, "inbox", {}), cancel, call(2, "inbox", {}))
    expect(ended[0]).toContain("cancelled")
    expect(answers.map(({ id }) => id)).toEqual([2])
  })

  it("lets a tool know that its answer could not be written", async () => {
    let outcome = ""
    const client = peer(async ({ answer }) => {
      client.isBroken = true
      outcome = await answer({ text: "x", isError: false })
        .then(() => "")
        .catch((error: unknown) => String(error))
      return undefined
    })
    await client.say(call(1, "inbox", {}))
    expect(outcome).toContain("EPIPE")
  })

  it("keeps the details of a bug from the client", async () => {
    const client = peer(() => Promise.reject(new Error("secret")))
    const [answer] = await client.say(call(1, "status", {}))
    expect(answer).toMatchObject({ error: { code: -32_603 } })
    expect(JSON.stringify(answer)).not.toContain("secret")
    expect(client.bugs.join()).toContain("secret")
  })

  it.each(["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])(
    "agrees on revision %s",
    async (version) => {
      const [answer] = await peer().say(request(1, "initialize", { protocolVersion: version }))
      expect(answer?.result).toMatchObject({ protocolVersion: version, serverInfo: { version: "1.2.3" } })
    },
  )

  it("offers its newest revision with a handshake to a client that wants an unknown one", async () => {
    const [answer] = await peer().say(request(1, "initialize", { protocolVersion: "2031-01-01" }))
    expect(answer?.result).toMatchObject({ protocolVersion: "2025-11-25" })
  })

  it("answers in the form of the stateless revision, and refuses one that it does not speak", async () => {
    const meta = (version: string) => ({ _meta: { "io.modelcontextprotocol/protocolVersion": version } })
    const answers = await peer().say(
      request(1, "server/discover", meta("2026-07-28")),
      request(2, "tools/list", meta("2026-07-28")),
      request(3, "tools/list", meta("2027-01-01")),
    )
    expect(answers[0]?.result).toMatchObject({ resultType: "complete", supportedVersions: ["2026-07-28"] })
    expect(answers[1]?.result).toMatchObject({ resultType: "complete", cacheScope: "public" })
    expect(answers[2]?.error).toMatchObject({ code: -32_022, data: { requested: "2027-01-01" } })
  })

  it("sends progress with the token of the client, and none without", async () => {
    const client = peer(({ progress }) => {
      progress(10, 50)
      return Promise.resolve({ text: "x", isError: false })
    })
    const answers = await client.say(call(1, "inbox", {}, { progressToken: "t" }), call(2, "inbox", {}))
    const notices = answers.filter((each) => !("id" in each))
    expect(notices).toEqual([
      {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: "t", progress: 10, total: 50 },
      },
    ])
  })
})
