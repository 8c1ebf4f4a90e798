import { PassThrough } from "node:stream"
import { expect, it } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { CommandRoom } from "../kit/command-room.js"
import { until } from "../kit/condition.js"
import { TestRelay } from "../kit/relay.js"

it("listen ends once more than 16 MiB wait for the reader of its output, and not before", async () => {
  const relay = await TestRelay.start()
  const { wire } = await relay.enter("sender", "#general")
  let unread = 16 * 1024 * 1024
  const output = Object.defineProperty(new PassThrough(), "writableLength", { get: () => unread })
  let isOver = false
  const args = ["listen", `ws://127.0.0.1:${relay.relay.port}`, "#general"]
  const listening = new CommandRoom().run(args, { clock: systemClock, output })
  void listening.then(() => {
    isOver = true
  })
  await until("its session", () => relay.log.filter((line) => line.startsWith("came:")).length === 2)
  await wire.ask({ type: "MSG", to: "#general", content: "one" })
  await wire.settle()
  expect(isOver).toBe(false)
  unread++
  await until("the end", async () => {
    if (!isOver) await wire.ask({ type: "MSG", to: "#general", content: "more" })
    return isOver
  })
  expect(await listening).toMatchObject({
    status: 1,
    err: expect.stringContaining("standard output is not read") as string,
  })
})
