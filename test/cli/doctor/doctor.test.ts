import { X509Certificate } from "node:crypto"
import { chmodSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { keyPinOf, withPin } from "../../../src/client/server-url.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { type SessionRecord, writeSession } from "../../../src/harness/sessions.js"
import type { InstanceName } from "../../../src/protocol/names.js"
import { startRelay } from "../../../src/server/relay.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { HarnessHome } from "../../kit/harness-home.js"
import { TestRelay } from "../../kit/relay.js"
import { hasProgram } from "../../kit/requires.js"
import { makeCertificate } from "../../kit/tls.js"

interface Report {
  readonly ok: boolean
  readonly checks: readonly { level: string; what: string; text: string; fix?: string }[]
  readonly harnesses: readonly Record<string, unknown>[]
}

/** A home with a daemon's directory, and the clock of this machine. */
function scene(): HarnessHome {
  const home = new HarnessHome()
  home.clock = new FakeClock(Date.now())
  mkdirSync(join(home.project, ".agentchat/daemons/default"), { recursive: true, mode: 0o700 })
  return home
}

async function report(home: HarnessHome): Promise<Report> {
  const { out } = await home.run("doctor", "--json")
  return JSON.parse(out) as Report
}

async function check(home: HarnessHome, what: string) {
  return (await report(home)).checks.find((one) => one.what === what)
}

/** Writes the status of the daemon, which does not run. */
function status(home: HarnessHome, fields: object): void {
  const path = join(home.project, ".agentchat/daemons/default/status.json")
  writeFileSync(path, JSON.stringify({ v: 1, state: "stopped", server: "ws://127.0.0.1:1", ...fields }), {
    mode: 0o600,
  })
}

function session(home: HarnessHome, fields: Partial<SessionRecord> = {}): void {
  const eventAt = home.clock.now() - 3 * 60_000
  writeSession(rootPaths(join(home.project, ".agentchat")), {
    ...{
      harness: "claude",
      session: "s1",
      agent: "default" as InstanceName,
      cwd: home.project,
      started: eventAt,
    },
    ...{ event: "Stop", event_at: eventAt, state: "idle", door: {}, announced: 0, owns_daemon: false },
    ...{ continued: false, greeted: true, background: 0 },
    ...fields,
  })
}

describe("agentchat doctor", () => {
  it("changes nothing, fits 80 columns, and exits 0 while nothing is bad", async () => {
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = (await TestRelay.start()).relay.url
    home.program("claude")
    home.program("codex")
    await home.must("install", "--harness", "codex")
    const before = [home.tree(), home.tree(home.project)]
    const { status, out } = await home.run("doctor")
    expect({ status, out }).toMatchObject({ status: 0 })
    expect(out.split("\n").filter((line) => line.length > 80 && !line.includes("fix:"))).toEqual([])
    expect(out).toContain(
      "warn claude      here, and not joined\n                 fix: agentchat install --harness claude\n",
    )
    expect(out).toContain("-    gemini      not here\n")
    expect([home.tree(), home.tree(home.project)]).toEqual(before)
  })

  it("says of each harness whether it is joined, when a hook ran last, and when it was woken", async () => {
    const home = scene()
    await home.must("install", "--harness", "claude")
    expect(await check(home, "claude")).toMatchObject({
      ...{ level: "warn", text: "joined; no hook has run here yet; not woken yet" },
      fix: expect.stringContaining("start claude in this directory"),
    })
    session(home)
    const provenTs = home.clock.now() - 7_200_000
    status(home, { wake: { proven: { method: "claude:socket", latency_ms: 120, proven_ts: provenTs } } })
    expect(await check(home, "claude")).toMatchObject({
      level: "ok",
      text: "joined; last hook Stop, 3 min ago; woken by claude:socket 2 h ago, in 120 ms",
    })
    expect((await report(home)).harnesses[0]).toEqual({
      ...{ harness: "claude", present: true, installed: "yes" },
      last_event: { event: "Stop", ts: home.clock.now() - 180_000 },
      last_wake: { method: "claude:socket", latency_ms: 120, ts: provenTs },
    })
  })

  it("notices entries that are gone, and those of another copy", async () => {
    const home = scene()
    await home.must("install", "--harness", "cursor", "--claims", "warn")
    expect(await check(home, "cursor")).toMatchObject({ level: "warn" })
    home.write(".cursor/mcp.json", "{}")
    expect(await check(home, "cursor")).toMatchObject({
      ...{ level: "bad", fix: "agentchat install --harness cursor" },
      text: "joined in part, or by another copy of agentchat; no hook has run here yet",
    })
    home.write(".cursor/mcp.json", "{")
    expect(await check(home, "cursor")).toMatchObject({
      ...{ level: "bad", text: `${home.home}/.cursor/mcp.json: line 1 is not valid JSON` },
    })
    expect((await home.run("doctor")).status).toBe(1)
  })

  it("names a key that others may read, and the command that protects it", async () => {
    const home = scene()
    const path = join(home.project, ".agentchat/identity.json")
    writeFileSync(path, "{}")
    chmodSync(path, 0o644)
    expect(await check(home, "keys")).toEqual({
      ...{ level: "bad", what: "keys", text: `${path}: is a secret others may read (mode 0644)` },
      fix: `chmod 600 ${path}`,
    })
  })

  it("names a home that others may write", async () => {
    const home = scene()
    chmodSync(join(home.project, ".agentchat"), 0o777)
    expect(await check(home, "home")).toMatchObject({ level: "bad", fix: expect.stringContaining("chmod") })
  })

  it("names a Node that is too old", async () => {
    const home = scene()
    home.nodeVersion = "v20.18.3"
    expect(await check(home, "node")).toMatchObject({
      level: "bad",
      text: expect.stringContaining("older than 20.19"),
    })
  })

  it("notices a daemon that died, and one that was stopped", async () => {
    const home = scene()
    status(home, { state: "connected", connected: true })
    expect(await check(home, "daemon")).toEqual({
      ...{ level: "bad", what: "daemon", text: "default has died: its process is gone" },
      fix: "agentchat daemon --background",
    })
    status(home, { state: "stopped" })
    expect(await check(home, "daemon")).toMatchObject({ level: "off" })
  })

  it("notices a lock that a dead process left behind", async () => {
    const home = scene()
    const lock = join(home.project, ".agentchat/receipts.jsonl.lock")
    mkdirSync(lock)
    utimesSync(lock, new Date(0), new Date(0))
    expect(await check(home, "locks")).toMatchObject({ level: "warn", fix: `rm -r ${lock}` })
    rmSync(lock, { recursive: true })
    expect(await check(home, "locks")).toMatchObject({ level: "ok" })
  })

  it("finds the relay in order, without becoming an agent of it", async () => {
    const relay = await TestRelay.start()
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = relay.relay.url
    expect(await check(home, "relay")).toEqual({
      ...{ level: "ok", what: "relay", text: `${relay.relay.url} answers, 0 agents online` },
    })
    expect(await check(home, "clock")).toMatchObject({ level: "ok" })
    expect(await check(home, "tls")).toMatchObject({ level: "ok" })
  })

  it("measures the clock against the relay's", async () => {
    const relay = await TestRelay.start()
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = relay.relay.url
    home.clock = new FakeClock(Date.now() + 600_000)
    expect(await check(home, "clock")).toMatchObject({
      ...{ level: "bad", text: expect.stringMatching(/^(59\d|600) s ahead of the relay's/) },
      fix: "sudo timedatectl set-ntp true",
    })
  })

  it("notices another program on the port", async () => {
    const server = createServer((_, response) => response.end("hello"))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = `ws://127.0.0.1:${port}`
    expect(await check(home, "relay")).toMatchObject({
      ...{ level: "bad", text: expect.stringContaining("another program answers there, not a relay") },
      fix: `agentchat up --port ${port + 1}`,
    })
  })

  it("says that no relay listens where one is meant", async () => {
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = "ws://127.0.0.1:1"
    const { status, out } = await home.run("doctor", "--quiet")
    expect(status).toBe(1)
    expect(out).toBe(
      "BAD  relay       ws://127.0.0.1:1: nothing listens there (ECONNREFUSED)\n" +
        "                 fix: start a relay on this machine with: agentchat up --port 1\n",
    )
  })

  it("warns of a proxy that is not used, where a relay cannot be reached", async () => {
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = "ws://relay.invalid:6667"
    home.env["HTTPS_PROXY"] = "http://user:secret@proxy:3128"
    const found = await report(home)
    expect(found.checks.find(({ what }) => what === "proxy")).toMatchObject({ level: "warn" })
    expect(JSON.stringify(found)).not.toContain("secret")
  })

  it.runIf(hasProgram("openssl"))("names a certificate that is not trusted", async () => {
    const tls = makeCertificate("localhost")
    const relay = await startRelay({ port: 0, host: "127.0.0.1", log: () => {}, clock: new FakeClock(), tls })
    onTestFinished(() => relay.stop())
    const home = scene()
    home.env["AGENTCHAT_SERVER"] = relay.url
    expect(await check(home, "relay")).toMatchObject({
      ...{ level: "bad", fix: expect.stringContaining("NODE_EXTRA_CA_CERTS=cert.pem") },
    })
    home.env["AGENTCHAT_SERVER"] = withPin(relay.url, keyPinOf(new X509Certificate(tls.cert)))
    expect(await check(home, "relay")).toMatchObject({ level: "ok" })
  })
})
