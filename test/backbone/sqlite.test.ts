import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FakeClock } from "../kit/fake-clock.js"
import { storeOpener } from "../kit/store.js"
import { describeBackbone } from "./conformance.js"

const store = storeOpener()

describeBackbone("sqlite", async () => {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-test-"))
  const clock = new FakeClock()
  let backbone = await store.open(join(dir, "store"), clock)
  return {
    backbone,
    reopen: async () => {
      await backbone.close()
      backbone = await store.open(join(dir, "store"), clock)
      return backbone
    },
    pass: (ms) => clock.advance(ms),
    cleanup: async () => {
      await backbone.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
})
