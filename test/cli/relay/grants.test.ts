import { X509Certificate } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatLink, isLink, parseLink } from "../../../src/cli/relay/link.js"
import { keyPinOf, withPin } from "../../../src/client/server-url.js"
import type { Grant } from "../../../src/protocol/grants.js"
import { CommandRoom } from "../../kit/command-room.js"
import { LastingEngine } from "../../kit/engine.js"
import { TestRelay } from "../../kit/relay.js"
import { hasProgram } from "../../kit/requires.js"
import { makeCertificate } from "../../kit/tls.js"

function pinOf(certificate: string): string {
  return keyPinOf(new X509Certificate(certificate))
}

/** @returns a closed relay, and a function that runs a command as its operator */
async function makeScene(options: Parameters<typeof TestRelay.start>[0] = {}) {
  const room = new CommandRoom()
  await room.run(["identity", "--generate"])
  const { did } = JSON.parse((await room.run(["identity", "--export"])).out) as { did: string }
  const backbone = (await LastingEngine.make()).lend()
  const relay = await TestRelay.start({ operators: [did], closed: true, backbone, ...options })
  const { tls } = options
  const server = tls === undefined ? relay.relay.url : withPin(relay.relay.url, pinOf(tls.cert))
  const own = ["--server", server, "--identity", room.path("identity.json")]
  const run = (...args: string[]) => room.run([...args, ...own], { clock: relay.clock })
  return { relay, room, run, server }
}

/** @returns an agent with an identity, and a function that runs its commands at the relay */
async function makeGuest(relay: TestRelay) {
  const room = new CommandRoom()
  await room.run(["identity", "--generate"])
  const own = ["--identity", room.path("identity.json")]
  const at = ["--server", relay.relay.url, ...own]
  const run = (...args: string[]) => room.run([...args, ...at], { clock: relay.clock })
  const add = (file: string) => room.run(["grants", "add", file, ...own])
  return { room, run, add }
}

describe("agentchat mint", () => {
  it("makes a file for its owner alone, whose grant lets one agent in, and grants shows and revokes it", async () => {
    const { relay, room, run } = await makeScene()
    const file = room.path("bob.json")
    expect((await run("mint", "bob", "--read", "#general", "--expires", "7d", "--out", file)).status).toBe(0)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const { id } = JSON.parse(readFileSync(file, "utf8")) as Grant
    const bob = await makeGuest(relay)
    expect((await bob.run("agents")).err).toContain("the relay is closed: no valid grant")
    expect((await bob.add(file)).out).toContain(`has the grant ${id} now`)
    expect(statSync(bob.room.path("identity.grants.json")).mode & 0o777).toBe(0o600)
    expect((await bob.run("agents")).status).toBe(0)
    expect((await bob.run("channels")).out).not.toContain("#skills")
    expect((await run("grants")).out).toMatch(new RegExp(`${id}.*bob.*agent.*#general.*@`))
    expect((await run("grants", "revoke", id, "--reason", "left")).status).toBe(0)
    expect((await bob.run("agents")).err).toContain(`grant ${id} was revoked`)
    expect((await run("grants")).out).toContain("revoked")
    const eve = await makeGuest(relay)
    await eve.add(file)
    expect((await eve.run("agents")).err).toContain("was revoked")
  })

  it("revokes all grants of an agent by its id", async () => {
    const { relay, room, run } = await makeScene()
    const bob = await makeGuest(relay)
    for (const name of ["a", "b"]) {
      await run("mint", name, "--out", room.path(name))
      await bob.add(room.path(name))
    }
    await bob.run("agents")
    const { out } = await bob.room.run(["identity", "--export"])
    const { agent_id } = JSON.parse(out) as { agent_id: string }
    expect((await run("grants", "revoke", agent_id, "--reason", "left")).out.trim().split("\n")).toHaveLength(
      2,
    )
    expect((await bob.run("agents")).status).toBe(5)
  })

  it.each([
    [["mint", "x", "--profile", "manager"], "--profile"],
    [["mint", "x", "--read", "foo/bar"], "--read"],
    [["mint", "x", "--read", "team..x"], "--read"],
    [["mint", "x", "--write", "#a b"], "--write"],
    [["mint", "x", "--key", "did:key:zzz"], "--key: must be"],
    [["mint", "x", "--key", "did:key:zzz", "--uses", "2"], "--uses: not with --key"],
    [["grants", "revoke", "--reason", "x"], "TARGET is missing"],
    [["grants", "revoke", "@0000000000000000", "--reason", "x"], "uses none"],
    [["invite", "--link", "--uses", "0"], "--uses: "],
    [["invite", "#general"], "AGENT: is missing"],
    [["invite", "#general", "@bob", "--link"], "AGENT: not with --link"],
  ])("%j is refused", async (args, problem) => {
    const { run } = await makeScene()
    const { status, err } = await run(...args)
    expect(err).toContain(problem)
    expect(status).not.toBe(0)
  })
})

describe("a link", () => {
  it("of invite has a grant for one agent, and no private key", async () => {
    const { relay, run } = await makeScene()
    const { out } = await run("invite", "#team.web", "--link", "--address", "wss://chat.example.org/relay")
    const link = parseLink(out)
    expect(link).toMatchObject({ server: "wss://chat.example.org/relay", channels: ["#team.web"] })
    expect(link.grant).toMatchObject({ aud: relay.relay.serverId, uses: 1, profile: "agent" })
    expect(link.grant.name).toBeUndefined()
    expect(JSON.stringify(link)).not.toContain("private")
    expect(out.trim()).not.toMatch(/\s/)
  })

  it("with --uses lets in as many agents as it says, and tells the next one what to do", async () => {
    const { relay, run } = await makeScene()
    const { grant } = parseLink((await run("invite", "--link", "--uses", "2")).out)
    const codes: number[] = []
    for (let count = 0; count < 3; count++) {
      const guest = await makeGuest(relay)
      guest.room.write("grant.json", JSON.stringify(grant))
      await guest.add(guest.room.path("grant.json"))
      const { status, err } = await guest.run("agents")
      codes.push(status)
      if (count === 2) expect(err).toContain(`grant ${grant.id} is used up\nhint: ask an operator`)
    }
    expect(codes).toEqual([0, 0, 5])
  })

  it.runIf(hasProgram("openssl"))("of a relay with TLS names the key of its certificate", async () => {
    const tls = makeCertificate("localhost")
    const { run, server } = await makeScene({ tls })
    expect(parseLink((await run("invite", "--link")).out).server).toBe(server)
    const other = await makeScene({ tls: makeCertificate("localhost") })
    const address = other.relay.relay.url
    const { out, err } = await run("invite", "--link", "--address", address)
    expect(parseLink(out).server).toBe(other.server)
    expect(err).toContain(`no known authority vouches for: compare it with`)
    const bare = await run("invite", "--link", "--address", other.server, "--unpinned")
    expect(parseLink(bare.out).server).toBe(address)
    const gone = await run("invite", "--link", "--address", "wss://127.0.0.1:1")
    expect(parseLink(gone.out).server).toBe("wss://127.0.0.1:1")
    expect(gone.err).toContain("the link names no key")
  })

  const servers = [
    "ws://127.0.0.1:6667",
    "wss://h.example",
    "wss://h.example/a/b",
    `wss://h.example/a#sha256=${"A".repeat(43)}`,
    "ws://[::1]:7000",
  ]
  const grant = {
    ...{ v: 1, type: "GRANT", id: "01234567", from: "did:key:z", aud: "srv_1", profile: "agent" },
    ...{ read: [], write: [], roles: [], ts: 0, sig: "a..b" },
  } as unknown as Grant

  it.each(servers)("to %s comes back as it was", (server) => {
    const link = formatLink({ server, grant, channels: [] })
    expect(isLink(link)).toBe(true)
    expect(parseLink(link)).toEqual({ server, grant, channels: [] })
  })

  it("that is cut or changed is refused without being quoted", () => {
    const link = formatLink({ server: "ws://127.0.0.1:6667", grant, channels: [] })
    fc.assert(
      fc.property(fc.nat(link.length - 1), (length) => {
        try {
          parseLink(link.slice(0, length))
          throw new Error("was accepted")
        } catch (error) {
          expect(error).toMatchObject({ code: "USAGE" })
          expect((error as Error).message).not.toContain(link.slice(40))
        }
      }),
    )
  })
})
