import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { backupStore, exportStore, restoreStore } from "../../../src/backbone/sql/store-maintenance.js"
import { askForCopy, serveStoreControl } from "../../../src/cli/relay/store-control.js"
import { readLine, serveSocket } from "../../../src/daemon/process/control-socket.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { TestRelay } from "../../kit/relay.js"
import { storeOpener } from "../../kit/store.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const store = storeOpener()
const program = { program: store.workerFile }

async function startRelay(root: string) {
  const dir = join(root, "data")
  const clock = new FakeClock()
  const backbone = await store.open(dir, clock)
  const relay = await TestRelay.start({ backbone, clock })
  const control = await serveStoreControl(
    dir,
    { copyStore: (file) => backbone.copy?.(file) ?? Promise.resolve() },
    (line) => relay.log.push(line),
  )
  onTestFinished(() => void control?.close())
  return { dir, relay, options: { ...program, askRelay: () => askForCopy(dir) } }
}

it("a backup of a running relay has every message that was accepted before, and leaves nothing behind", async () => {
  const root = temporaryDirectory()
  const { dir, relay, options } = await startRelay(root)
  expect(statSync(join(dir, "store.sock")).mode & 0o777).toBe(0o600)
  const { wire } = await relay.enter("ann", "#general")
  const say = (content: string) => wire.ask({ type: "MSG", to: "#general", content })
  for (let n = 0; n < 20; n++) expect(await say(`before ${n}`)).toMatchObject({ type: "ACK" })
  const [report] = await Promise.all([
    backupStore(dir, join(root, "file"), options),
    ...Array.from({ length: 20 }, (_, n) => say(`during ${n}`)),
  ])
  expect(await say("after")).toMatchObject({ type: "ACK" })
  expect(readdirSync(dir).filter((name) => name.startsWith("backup-"))).toEqual([])
  expect(readdirSync(root).sort()).toEqual(["data", "file"])

  const restored = join(root, "restored")
  expect(await restoreStore(join(root, "file"), restored, program)).toEqual(report)
  const texts: string[] = []
  for await (const line of exportStore(restored, store.workerFile)) texts.push(line.value)
  for (let n = 0; n < 20; n++) expect(texts.some((text) => text.includes(`before ${n}"`))).toBe(true)
  expect(texts.some((text) => text.includes('"after"'))).toBe(false)
  await expect(restoreStore(join(root, "file"), dir, program)).rejects.toMatchObject({ code: "FILE_FAILED" })
})

it("a relay removes copies of killed backups, and refuses other requests", async () => {
  const root = temporaryDirectory()
  const left = join(root, "data", "backup-AbC123")
  mkdirSync(left, { recursive: true })
  writeFileSync(join(left, "store.db"), "")
  const { dir } = await startRelay(root)
  expect(existsSync(left)).toBe(false)
  for (const request of ["{}", "nonsense", '{"op":"stop"}', "[]"]) {
    const socket = connect(join(dir, "store.sock"))
    socket.write(`${request}\n`)
    expect(JSON.parse(await readLine(socket))).toMatchObject({ ok: false })
  }
})

it("a backup removes no directory outside of the data directory, whatever the relay answers", async () => {
  const root = temporaryDirectory()
  const { dir, options } = await startRelay(root)
  mkdirSync(join(root, "other"))
  for (const name of ["../other", join(root, "other"), ".", "", "backup-../..", undefined]) {
    const server = await serveSocket(join(dir, "store.sock"), () =>
      Promise.resolve({ ok: true, ...(name !== undefined && { notices: [name] }) }),
    )
    await expect(backupStore(dir, join(root, "file"), options)).rejects.toMatchObject({ code: "UNSUPPORTED" })
    server.close()
  }
  await expect(backupStore(dir, join(root, "file"), options)).rejects.toMatchObject({
    code: "ALREADY_RUNNING",
    hint: expect.stringContaining("stop it first") as string,
  })
  expect(readdirSync(root).sort()).toEqual(["data", "other"])
})
