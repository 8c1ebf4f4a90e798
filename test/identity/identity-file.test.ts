import { execFileSync } from "node:child_process"
import { createHash, createPublicKey, type KeyObject } from "node:crypto"
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import {
  createIdentity,
  exportIdentity,
  inspectIdentity,
  readIdentity,
  revokeIdentity,
  rotateIdentity,
} from "../../src/identity/identity-file.js"
import { exportSeed, generateKeyPair } from "../../src/identity/signer.js"
import { verifyRevocation, verifyRotation } from "../../src/identity/succession.js"
import type { ChatError } from "../../src/protocol/errors.js"
import { parseNick } from "../../src/protocol/names.js"
import { temporaryDirectory } from "../kit/temporary.js"

const clock = { ...systemClock, now: () => 1_800_000_000_000 }
const mode = (path: string) => statSync(path).mode & 0o777

describe("createIdentity", () => {
  it("creates a file that only its owner can read, in directories that only their owner can enter", () => {
    const dir = temporaryDirectory()
    const path = join(dir, "deep", "er", "identity.json")
    const identity = createIdentity(path, { nick: parseNick("bob"), clock })
    expect([mode(path), mode(join(dir, "deep", "er")), mode(join(dir, "deep"))]).toEqual([
      0o600, 0o700, 0o700,
    ])
    expect(readIdentity(path)).toMatchObject({
      agentId: identity.agentId,
      did: identity.did,
      nick: "bob",
      createdTs: 1_800_000_000_000,
      rotations: [],
    })
    expect(exportSeed(readIdentity(path).keyPair)).toEqual(exportSeed(identity.keyPair))
    expect(identity.agentId).toMatch(/^@[0-9a-f]{16}$/)
  })

  it("creates file and directories with the same modes under any umask", () => {
    const dir = temporaryDirectory()
    const umask = process.umask(0)
    onTestFinished(() => void process.umask(umask))
    createIdentity(join(dir, "home", "identity.json"))
    expect([mode(join(dir, "home")), mode(join(dir, "home", "identity.json"))]).toEqual([0o700, 0o600])
  })

  it("never overwrites a file, and leaves no temporary file", () => {
    const dir = temporaryDirectory()
    const path = join(dir, "identity.json")
    createIdentity(path)
    const before = readFileSync(path, "utf8")
    expect(refusalOf(() => createIdentity(path)).code).toBe("IDENTITY_EXISTS")
    expect(readFileSync(path, "utf8")).toBe(before)
    writeFileSync(join(dir, "empty"), "")
    expect(refusalOf(() => createIdentity(join(dir, "empty"))).code).toBe("IDENTITY_EXISTS")
    symlinkSync(join(dir, "nowhere"), join(dir, "link"))
    expect(refusalOf(() => createIdentity(join(dir, "link"))).code).toBe("IDENTITY_EXISTS")
    expect(readdirSync(dir).sort()).toEqual(["empty", "identity.json", "link"])
  })

  it("reports a directory that cannot be created", () => {
    const dir = temporaryDirectory()
    writeFileSync(join(dir, "file"), "")
    expect(refusalOf(() => createIdentity(join(dir, "file", "identity.json"))).code).toBe("FILE_FAILED")
  })
})

describe("readIdentity", () => {
  it.each([0o640, 0o604, 0o660, 0o644, 0o601])(
    "refuses a secret with mode %o, with a hint how to fix it",
    (bits) => {
      const path = join(temporaryDirectory(), "my identity.json")
      createIdentity(path)
      chmodSync(path, bits)
      const error = refusalOf(() => readIdentity(path))
      expect(error.code).toBe("BAD_IDENTITY")
      expect(error.message).toContain(`0${bits.toString(8)}`)
      expect(error.hint).toBe(`chmod 600 '${path}'`)
      execFileSync("sh", ["-c", String(error.hint)])
      expect(readIdentity(path).did).toMatch(/^did:key:z6Mk/)
    },
  )

  it("names a missing identity file", () => {
    const path = join(temporaryDirectory(), "identity.json")
    expect(refusalOf(() => readIdentity(path))).toMatchObject({
      code: "NOT_FOUND",
      message: `${path}: no such identity file`,
    })
  })

  it("refuses a directory, a pipe and a file without end instead of waiting", () => {
    const dir = temporaryDirectory()
    mkdirSync(join(dir, "directory"))
    execFileSync("sh", ["-c", "mkfifo -m 600 pipe"], { cwd: dir })
    for (const name of ["directory", "pipe"]) {
      expect(refusalOf(() => readIdentity(join(dir, name)))).toMatchObject({ code: "BAD_IDENTITY" })
    }
    expect(refusalOf(() => readIdentity("/dev/zero")).code).toBe("BAD_IDENTITY")
    writeFileSync(join(dir, "large"), Buffer.alloc(2 * 1024 * 1024), { mode: 0o600 })
    expect(refusalOf(() => readIdentity(join(dir, "large"))).message).toContain("larger than")
  })

  it("never quotes a damaged file, wherever it is cut or changed", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const { keyPair } = createIdentity(path, { nick: parseNick("bob") })
    const secret = Buffer.from(exportSeed(keyPair)).toString("base64")
    const text = readFileSync(path, "utf8")
    const damaged = Array.from({ length: text.length - 1 }, (_, end) => text.slice(0, end))
    for (let at = 0; at < text.length; at += 3) damaged.push(`${text.slice(0, at)}"${text.slice(at + 1)}`)
    for (const content of damaged) {
      writeFileSync(path, content)
      try {
        expect(readIdentity(path).keyPair.publicKey).toEqual(keyPair.publicKey)
      } catch (error) {
        expect(error).toMatchObject({ name: "ChatError", code: "BAD_IDENTITY" })
        const shown = inspect(error, { depth: 9, showHidden: true })
        for (let i = 0; i + 12 <= secret.length; i += 4) expect(shown).not.toContain(secret.slice(i, i + 12))
      }
    }
  })

  it.each([
    ["a list instead of an object", "[]", "must be a JSON object"],
    ["another version", { v: 2 }, "v: must be 1"],
    ["no key", { private_key: undefined }, "private_key: must be base64 of 32 bytes"],
    ["a short key", { private_key: "AAAA" }, "private_key: must be base64 of 32 bytes"],
    [
      "the did of another key",
      { did: "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw" },
      "did: must be the key",
    ],
    ["no did", { did: 5 }, "did: must be a did:key"],
    ["an invalid did", { did: "did:key:z1" }, "did: must be a did:key"],
    ["no time", { created_ts: "yesterday" }, "created_ts: must be milliseconds"],
    ["invalid rotations", { rotations: [{}] }, "rotations: must be an array of rotation statements"],
    ["an invalid revocation", { revocation: {} }, "revocation: must be a revocation statement"],
  ])("refuses an identity file with %s", (_what, change, message) => {
    const path = join(temporaryDirectory(), "identity.json")
    createIdentity(path)
    const members = JSON.parse(readFileSync(path, "utf8")) as object
    writeFileSync(path, typeof change === "string" ? change : JSON.stringify({ ...members, ...change }))
    const error = refusalOf(() => readIdentity(path))
    expect(error.code).toBe("BAD_IDENTITY")
    expect(error.message).toContain(message)
  })

  it("refuses a history that leads to another key", () => {
    const dir = temporaryDirectory()
    createIdentity(join(dir, "a.json"))
    createIdentity(join(dir, "b.json"))
    const { rotations } = rotateIdentity(join(dir, "a.json"))
    const members = JSON.parse(readFileSync(join(dir, "b.json"), "utf8")) as object
    writeFileSync(join(dir, "b.json"), JSON.stringify({ ...members, rotations }))
    expect(refusalOf(() => readIdentity(join(dir, "b.json"))).message).toContain("must lead to did")
  })

  it("reads the file of the first AgentChat 0.22.1 to 0.36.19, and knows its id there", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const { publicKey, privateKey } = generateKeyPair()
    const spki = publicKeyPem(privateKey)
    const agentId = createHash("sha256").update(spki).digest("hex").slice(0, 16)
    const text = JSON.stringify({
      publicKey: spki,
      privateKey: privateKey.export({ format: "pem", type: "pkcs8" }),
      agentId,
      name: "old-agent",
      created: "2026-01-15T10:00:00.000Z",
    })
    writeFileSync(path, text, { mode: 0o600 })
    const identity = readIdentity(path)
    expect(identity.keyPair.publicKey).toEqual(publicKey)
    expect(inspectIdentity(path)).toMatchObject({
      agent_id: identity.agentId,
      older_agent_id: `@${agentId}`,
      name: "old-agent",
    })
    expect(refusalOf(() => rotateIdentity(path)).code).toBe("UNSUPPORTED")
    expect(readFileSync(path, "utf8")).toBe(text)
    writeFileSync(path, text.replace(/"privateKey":"[^"]*"/, '"privateKey":""'), { mode: 0o600 })
    expect(refusalOf(() => readIdentity(path)).message).toContain("privateKey: must be an Ed25519 key")
  })

  it("reads the PEM files of the first AgentChat and leaves them as they are", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const { publicKey, privateKey } = generateKeyPair()
    writeFileSync(
      path,
      olderText(publicKeyPem(privateKey), privateKey.export({ format: "pem", type: "pkcs8" })),
      {
        mode: 0o600,
      },
    )
    const before = readFileSync(path, "utf8")
    expect(readIdentity(path)).toMatchObject({
      nick: "old-agent",
      createdTs: Date.parse("2026-01-15T10:00:00Z"),
    })
    expect(readIdentity(path).keyPair.publicKey).toEqual(publicKey)
    expect(refusalOf(() => rotateIdentity(path)).code).toBe("UNSUPPORTED")
    expect(refusalOf(() => revokeIdentity(path)).code).toBe("UNSUPPORTED")
    expect(readFileSync(path, "utf8")).toBe(before)
  })

  it("refuses a PEM file whose keys do not belong together, without showing them", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const privatePem = generateKeyPair().privateKey.export({ format: "pem", type: "pkcs8" }).toString()
    writeFileSync(path, olderText(publicKeyPem(generateKeyPair().privateKey), privatePem), { mode: 0o600 })
    const error = refusalOf(() => readIdentity(path))
    expect(error.message).toContain("pubkey: must be the key of privkey")
    expect(inspect(error)).not.toContain(privatePem.slice(60, 80))
    writeFileSync(path, olderText("", "-----BEGIN PRIVATE KEY-----"), { mode: 0o600 })
    expect(refusalOf(() => readIdentity(path)).message).toContain("privkey: must be an Ed25519 key")
  })
})

describe("rotateIdentity", () => {
  it("changes key and agent id, and keeps a rotation that both keys signed", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const first = createIdentity(path, { nick: parseNick("bob") })
    const second = rotateIdentity(path, { clock })
    const third = rotateIdentity(path)
    expect(new Set([first, second, third].map(({ agentId }) => agentId)).size).toBe(3)
    expect(readIdentity(path)).toMatchObject({ did: third.did, nick: "bob", createdTs: first.createdTs })
    expect(third.rotations).toMatchObject([
      { from: first.did, to: second.did, ts: 1_800_000_000_000 },
      { from: second.did, to: third.did },
    ])
    for (const rotation of third.rotations) expect(() => verifyRotation(rotation)).not.toThrow()
    expect(mode(path)).toBe(0o600)
    expect(readFileSync(path, "utf8")).not.toContain(
      Buffer.from(exportSeed(first.keyPair)).toString("base64"),
    )
  })

  it("replaces the file behind a symbolic link, not the link", () => {
    const dir = temporaryDirectory()
    const { did } = createIdentity(join(dir, "real.json"))
    symlinkSync("real.json", join(dir, "link.json"))
    rotateIdentity(join(dir, "link.json"))
    expect(readIdentity(join(dir, "real.json")).did).not.toBe(did)
    expect(readdirSync(dir).sort()).toEqual(["link.json", "real.json"])
  })
})

describe("revokeIdentity", () => {
  it("destroys the private key and keeps the signed revocation", () => {
    const path = join(temporaryDirectory(), "identity.json")
    const { did, agentId, keyPair } = createIdentity(path)
    const { revocation } = revokeIdentity(path, { reason: "laptop lost", clock })
    expect(revocation).toMatchObject({ from: did, reason: "laptop lost", ts: 1_800_000_000_000 })
    if (revocation !== undefined) expect(() => verifyRevocation(revocation)).not.toThrow()
    expect(readFileSync(path, "utf8")).not.toContain(Buffer.from(exportSeed(keyPair)).toString("base64"))
    expect(inspectIdentity(path)).toMatchObject({ did, agent_id: agentId, revocation })
  })

  it("a revoked identity cannot be read, rotated or revoked again", () => {
    const path = join(temporaryDirectory(), "identity.json")
    createIdentity(path)
    revokeIdentity(path, { clock })
    for (const use of [readIdentity, rotateIdentity, revokeIdentity]) {
      const error = refusalOf(() => use(path))
      expect(error.code).toBe("BAD_IDENTITY")
      expect(error.message).toBe(`${path}: was revoked on 2027-01-15T08:00:00.000Z`)
    }
    expect(refusalOf(() => createIdentity(path)).code).toBe("IDENTITY_EXISTS")
  })
})

describe("exportIdentity", () => {
  it("returns the same as inspectIdentity, without a secret", () => {
    const path = join(temporaryDirectory(), "identity.json")
    createIdentity(path, { nick: parseNick("bob") })
    const identity = rotateIdentity(path)
    const exported = exportIdentity(identity)
    expect(exported).toEqual(inspectIdentity(path))
    expect(Object.keys(exported).sort()).toEqual(["agent_id", "created_ts", "did", "name", "rotations"])
    expect(JSON.stringify(exported)).not.toContain(
      Buffer.from(exportSeed(identity.keyPair)).toString("base64"),
    )
  })
})

function refusalOf(act: () => unknown): ChatError {
  try {
    act()
  } catch (error) {
    expect(error).toMatchObject({ name: "ChatError" })
    return error as ChatError
  }
  throw new Error("nothing was refused")
}

function olderText(pubkey: string, privkey: string | Buffer): string {
  const created = "2026-01-15T10:00:00.000Z"
  return JSON.stringify({ name: "old-agent", pubkey, privkey: privkey.toString(), created, rotations: [] })
}

function publicKeyPem(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ format: "pem", type: "spki" }).toString()
}
