import {
  cpSync,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { backupStore, restoreStore } from "../../src/backbone/sql/store-maintenance.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { FakeClock } from "../kit/fake-clock.js"
import { TestRelay } from "../kit/relay.js"
import { storeOpener } from "../kit/store.js"
import { temporaryDirectory } from "../kit/temporary.js"

const store = storeOpener()
const [ann, bob] = [generateKeyPair(), generateKeyPair()]

async function startOn(dir: string, clock: FakeClock): Promise<TestRelay> {
  return TestRelay.start({ backbone: await store.open(dir, clock), clock })
}

/** Says something in #plans and returns its number. */
async function say(relay: TestRelay, content: string): Promise<number> {
  const { wire } = await relay.enterAs(ann, "ann")
  const { localPort } = wire.socket
  await wire.ask({ type: "JOIN", channel: "#plans" })
  const ack = await wire.answerTo({ type: "MSG", to: "#plans", content, id: `say-${localPort}` })
  if (ack.type !== "ACK" || ack.seq === undefined) throw new Error(JSON.stringify(ack))
  return ack.seq
}

/** Joins #plans with a bookmark and returns the texts that follow it. */
async function readSince(relay: TestRelay, since: number): Promise<string[]> {
  const { wire } = await relay.enterAs(bob, "bob")
  await wire.ask({ type: "JOIN", channel: "#plans", since })
  return (await wire.settle()).flatMap((message) => (message.type === "MSG" ? message.content : []))
}

test.each([
  [
    "a restored backup",
    async (from: string, to: string) => {
      await backupStore(from, `${to}.backup`, { program: store.workerFile })
      return () => restoreStore(`${to}.backup`, to, { program: store.workerFile })
    },
  ],
  [
    "a plain copy",
    (from: string, to: string) => {
      cpSync(from, `${to}.copy`, { recursive: true })
      return Promise.resolve(() => {
        cpSync(`${to}.copy`, to, { recursive: true })
        return Promise.resolve()
      })
    },
  ],
])("a member whose bookmark is ahead of %s misses nothing that follows", async (_name, copy) => {
  const [dir, copied] = [join(temporaryDirectory(), "data"), join(temporaryDirectory(), "copied")]
  const clock = new FakeClock()
  const first = await startOn(dir, clock)
  const { wire } = await first.enterAs(ann, "ann")
  await wire.ask({ type: "CREATE_CHANNEL", channel: "#plans", durable: true })
  await readSince(first, 0)
  await say(first, "before")
  const id = first.relay.serverId
  await first.stop()
  const restore = await copy(dir, copied)

  const lost = await startOn(dir, clock)
  let bookmark = 0
  for (const text of ["lost 1", "lost 2", "lost 3"]) bookmark = await say(lost, text)
  expect(await readSince(lost, 0)).toContain("lost 3")
  await lost.stop()

  await restore()
  clock.advance(1_000)
  const again = await startOn(copied, clock)
  expect(again.relay.serverId).toBe(id)
  for (const text of ["new 1", "new 2", "new 3", "new 4"]) await say(again, text)
  expect(await readSince(again, bookmark)).toEqual(
    expect.arrayContaining(["new 1", "new 2", "new 3", "new 4"]),
  )
})

test("backup and restore overwrite nothing, and a damaged backup restores nothing", async () => {
  const root = temporaryDirectory()
  const [dir, other, file] = [join(root, "data"), join(root, "other"), join(root, "backup")]
  const backbone = await store.open(dir, new FakeClock())
  await expect(backupStore(dir, file, { program: store.workerFile })).rejects.toMatchObject({
    code: "ALREADY_RUNNING",
  })
  await backbone.close()
  await backupStore(dir, file, { program: store.workerFile })
  expect(statSync(file).mode & 0o777).toBe(0o600)

  const overwritten = {
    code: "FILE_FAILED",
    message: expect.stringContaining("nothing is overwritten") as string,
  }
  const program = { program: store.workerFile }
  await expect(backupStore(dir, file, { program: store.workerFile })).rejects.toMatchObject(overwritten)
  await expect(restoreStore(file, dir, program)).rejects.toMatchObject(overwritten)
  await expect(restoreStore(join(root, "none"), other, program)).rejects.toMatchObject({ code: "NOT_FOUND" })
  await expect(restoreStore(root, other, program)).rejects.toMatchObject({ code: "NOT_FOUND" })

  const half = join(root, "half")
  cpSync(file, half)
  truncateSync(half, Math.floor(statSync(file).size / 2))
  await expect(restoreStore(half, other, program)).rejects.toMatchObject({ code: "STORE_DAMAGED" })
  truncateSync(half, 0)
  await expect(restoreStore(half, other, program)).rejects.toMatchObject({ code: "STORE_DAMAGED" })
  expect(readdirSync(other)).toEqual([])
  const [target, link] = [join(root, "bashrc"), join(root, "link")]
  writeFileSync(target, "kept")
  symlinkSync(target, link)
  await expect(backupStore(dir, link, { program: store.workerFile })).rejects.toMatchObject(overwritten)
  expect(readdirSync(root).filter((name) => name.endsWith(".tmp"))).toEqual([])
})

test("an empty store.db does not start silently as a new store", async () => {
  const dir = join(temporaryDirectory(), "data")
  await (await store.open(dir, new FakeClock())).close()
  truncateSync(join(dir, "store.db"), 0)
  const refusal = {
    code: "STORE_DAMAGED",
    message: `${join(dir, "store.db")}: is empty`,
    hint: expect.stringContaining("agentchat store restore") as string,
  }
  await expect(store.open(dir, new FakeClock())).rejects.toMatchObject(refusal)
  await expect(store.open(dir, new FakeClock())).rejects.toMatchObject(refusal)
})

test("a store.db that is gone while its -wal is there does not start as a new store", async () => {
  const dir = join(temporaryDirectory(), "data")
  await (await store.open(dir, new FakeClock())).close()
  rmSync(join(dir, "store.db"))
  writeFileSync(join(dir, "store.db-wal"), "x")
  await expect(store.open(dir, new FakeClock())).rejects.toMatchObject({ code: "STORE_DAMAGED" })
  expect(existsSync(join(dir, "store.db"))).toBe(false)
})
