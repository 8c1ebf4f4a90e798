import { appendFileSync, mkdirSync } from "node:fs"
import { expect, it, vi } from "vitest"
import { followInbox } from "../../../src/daemon/inbox/reader.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { InboxHarness } from "../../kit/inbox-harness.js"

const watch = vi.fn(() => {
  throw Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), {
    code: "ENOSPC",
  })
})
vi.mock("node:fs", async (original) => ({ ...(await original<object>()), watch: () => watch() }))

it("follows an inbox by looking every second where the system has no watches left", async () => {
  const { paths } = new InboxHarness()
  const clock = new FakeClock()
  const abort = new AbortController()
  const seen: number[] = []
  const following = (async () => {
    for await (const { seq } of followInbox(paths, 0, { clock, signal: abort.signal })) seen.push(seq)
  })()
  await until("the watch", () => watch.mock.calls.length > 0)
  mkdirSync(paths.dir, { recursive: true })
  appendFileSync(paths.inbox, '{"seq":1,"type":"NOTICE"}\n')
  await until("the line", () => {
    clock.advance(1_000)
    return seen.length > 0
  })
  abort.abort()
  await following
  expect(seen).toEqual([1])
})
