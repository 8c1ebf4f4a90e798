import { expect, test } from "vitest"
import { parseNatsAddress } from "../../../src/backbone/nats/dial.js"
import { openNatsBackbone } from "../../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../../src/base/clock.js"

test.each([
  ["nats://127.0.0.1", { servers: ["127.0.0.1:4222"], isEncrypted: false }],
  ["nats://h:1/", { servers: ["h:1"], isEncrypted: false }],
  [
    "tls://a.example:4443,[::1],c:65535",
    { servers: ["a.example:4443", "[::1]:4222", "c:65535"], isEncrypted: true },
  ],
  ["nats://t%40k@h", { servers: ["h:4222"], isEncrypted: false, token: "t@k" }],
  [
    "nats://u:p%3Aq:r@h,i:2",
    { servers: ["h:4222", "i:2"], isEncrypted: false, user: "u", password: "p:q:r" },
  ],
])("reads %s", (text, expected) => {
  expect(parseNatsAddress(text)).toEqual({ ...expected, where: expected.servers.join(", ") })
})

test.each([
  "",
  "nats://",
  "nats://,",
  "h:4222",
  "http://h:4222",
  "nats://h:0",
  "nats://h:65536",
  "nats://h:port",
  "nats://h/path",
  "nats://h,u:secret@i",
  "nats://u:secret@h:x",
  "nats://u:secret%@h",
])("refuses %s and does not repeat it", (text) => {
  const parse = (): unknown => parseNatsAddress(text)
  expect(parse).toThrow(
    expect.objectContaining({ code: "USAGE", message: expect.not.stringContaining("secret") }),
  )
})

test("refuses an invalid space", async () => {
  const options = { servers: "nats://h", clock: systemClock, log: () => {} }
  for (const space of ["", "a.b", "a b", ">", "é", "x".repeat(33)]) {
    await expect(openNatsBackbone({ ...options, space })).rejects.toMatchObject({ code: "USAGE" })
  }
})
