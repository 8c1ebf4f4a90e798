import { closeSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { EventLog } from "../../../src/daemon/files/append-log.js"
import { openLog } from "../../../src/daemon/process/background-process.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

it("drops lines that cannot be written, and says later how many are missing", () => {
  const path = join(temporaryDirectory(), "relay.log")
  const log = new EventLog(path, new FakeClock(0))
  mkdirSync(path)
  log.write("one")
  log.write("two")
  rmdirSync(path)
  log.write("three")
  log.write("four")
  const time = "1970-01-01T00:00:00.000Z"
  expect(readFileSync(path, "utf8")).toBe(
    `${time} 2 lines could not be written here\n${time} three\n${time} four\n`,
  )
})

it("moves a log of 1 MiB away, and so does the start of the process that prints to it", () => {
  const path = join(temporaryDirectory(), "host.log")
  writeFileSync(path, "x".repeat(1024 * 1024 + 1))
  new EventLog(path, new FakeClock(0)).write("one")
  expect(statSync(`${path}.1`).size).toBe(1024 * 1024 + 1)
  expect(readFileSync(path, "utf8")).toMatch(/one\n$/)
  writeFileSync(path, "y".repeat(1024 * 1024 + 2))
  closeSync(openLog(path))
  expect(statSync(path).size).toBe(0)
  expect(statSync(`${path}.1`).size).toBe(1024 * 1024 + 2)
})
