import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Bookmarks } from "../../../src/daemon/session/bookmarks.js"
import { Memberships } from "../../../src/daemon/session/memberships.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { ChatError, type ErrorCode } from "../../../src/protocol/errors.js"
import type { Channel } from "../../../src/protocol/names.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { joined as joinedMessage, welcome } from "../../kit/fake-relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const server = "ws://relay"
const joined = (channel: string, more: Partial<ServerMessage<"JOINED">> = {}) =>
  ({ ...joinedMessage(channel, undefined, 30), ...more }) as ServerMessage<"JOINED">

/** A session that answers every JOIN, but for the channels of `refused`. */
function sessionOf(refused: Readonly<Record<string, ErrorCode>> = {}) {
  const sent: ClientFrame[] = []
  const request = (frame: ClientFrame) => {
    sent.push(frame)
    const { channel } = frame as ClientFrame<"JOIN">
    const code = frame.type === "JOIN" ? refused[channel] : undefined
    if (code !== undefined) return Promise.reject(new ChatError(code, "no"))
    return Promise.resolve(joined(channel, channel.endsWith(">") ? { pattern: channel } : {}))
  }
  const session = { welcome: welcome("bob", "@a") as ServerMessage<"WELCOME">, request: request as never }
  return {
    sent,
    session,
    asked: () => sent.map((frame) => [frame.type, (frame as { channel: string }).channel]),
  }
}

function membershipsOf(wanted?: readonly string[], path = join(temporaryDirectory(), "bookmarks.json")) {
  const bookmarks = Bookmarks.open(path, server)
  const names = wanted ?? [...bookmarks.channels, ...bookmarks.patterns]
  const told: string[] = []
  const memberships = new Memberships(bookmarks, names as Channel[], ({ channel }) => told.push(channel))
  return { path, bookmarks, memberships, told }
}

describe("a pattern of channels", () => {
  it("is asked for last, after the known channels, each from its bookmark", async () => {
    const first = membershipsOf(["#team.>", "#general"])
    await first.memberships.enterAll(sessionOf().session)
    first.memberships.entered(joined("#team.a", { pattern: "#team.>" }), 20)
    first.bookmarks.advance([{ serverId: "relay-1", channel: "#team.a", seq: 33 }])
    first.bookmarks.save()
    const again = membershipsOf(undefined, first.path)
    const { session, sent } = sessionOf()
    await again.memberships.enterAll(session)
    expect(sent).toEqual([
      { type: "JOIN", channel: "#general", since: 10 },
      { type: "JOIN", channel: "#team.a", since: 33 },
      { type: "JOIN", channel: "#team.>" },
    ])
    expect(again.memberships.patterns).toEqual(["#team.>"])
    expect(again.memberships.channels).toEqual(["#general", "#team.a"])
  })

  it("takes along what it alone brought when it is left, also after a restart", async () => {
    const first = membershipsOf(["#team.>", "#team.mine"])
    await first.memberships.enterAll(sessionOf().session)
    for (const channel of ["#team.a", "#team.b", "#team.mine"]) {
      first.memberships.entered(joined(channel, { pattern: "#team.>" }), 20)
    }
    first.memberships.entered(joined("#team.b"), 20)
    first.bookmarks.save()
    const again = membershipsOf(undefined, first.path)
    await again.memberships.enterAll(sessionOf().session)
    expect(again.memberships.left("#team.>")).toEqual(["#team.a"])
    expect(again.memberships.patterns).toEqual([])
    expect([...again.memberships.channels].sort()).toEqual(["#team.b", "#team.mine"])
    again.bookmarks.save()
    expect(membershipsOf(undefined, first.path).memberships.patterns).toEqual([])
  })

  it("leaves a channel to another pattern that fits it, too", async () => {
    const { memberships } = membershipsOf(["#team.>", "#*.a"])
    await memberships.enterAll(sessionOf().session)
    memberships.entered(joined("#team.a", { pattern: "#team.>" }), 20)
    expect(memberships.left("#team.>")).toEqual([])
    expect(memberships.left("#*.a")).toEqual(["#team.a"])
    expect(memberships.channels).toEqual([])
  })

  it("does not make a channel again that it brought and that is gone", async () => {
    const { memberships } = membershipsOf(["#team.>"])
    memberships.entered(joined("#team.a", { pattern: "#team.>" }), 20)
    const { session, asked } = sessionOf({ "#team.a": "CHANNEL_NOT_FOUND" })
    expect(await memberships.enterAll(session)).toEqual(new Map())
    expect(asked()).toEqual([
      ["JOIN", "#team.a"],
      ["JOIN", "#team.>"],
    ])
    expect(memberships.channels).toEqual([])
  })
})

describe("memberships", () => {
  it("enter only what is left to enter when they are told to", async () => {
    const { memberships } = membershipsOf(["#a", "#b", "#c.>"])
    const failures = await memberships.enterAll(
      sessionOf({ "#b": "UNAVAILABLE", "#c.>": "UNAVAILABLE" }).session,
    )
    expect([...failures.keys()].sort()).toEqual(["#b", "#c.>"])
    const { session, asked } = sessionOf()
    await memberships.enterAll(session, new Set(failures.keys()))
    expect(asked()).toEqual([
      ["JOIN", "#b"],
      ["JOIN", "#c.>"],
    ])
  })

  it("tell of a channel once, when it is entered for the first time", async () => {
    const first = membershipsOf(["#a"])
    await first.memberships.enterAll(sessionOf().session)
    await first.memberships.enterAll(sessionOf().session)
    first.memberships.entered(joined("#b"), 20)
    first.bookmarks.save()
    const again = membershipsOf(undefined, first.path)
    await again.memberships.enterAll(sessionOf().session)
    expect([first.told, again.told]).toEqual([["#a", "#b"], []])
    again.memberships.left("#a")
    again.memberships.entered(joined("#a"), 20)
    expect(again.told).toEqual(["#a"])
  })

  it("forget where they were in a channel that was left: leaving ends what one is entitled to", () => {
    const { memberships, bookmarks } = membershipsOf(["#a"])
    memberships.entered(joined("#a", { durable: true }), 20)
    expect(memberships.durable).toEqual(["#a"])
    bookmarks.advance([{ serverId: "relay-1", channel: "#a", seq: 40 }])
    memberships.left("#a")
    expect([memberships.durable, bookmarks.since("relay-1", "#a")]).toEqual([[], undefined])
    memberships.entered(joined("#a", { durable: true, settings: { replay: false } }), 20)
    bookmarks.reset("relay-1")
    expect(bookmarks.since("relay-1", "#a")).toBe(0)
  })

  it("begin after the last message of a channel that tells newcomers nothing of before", () => {
    const { memberships, bookmarks } = membershipsOf(["#a"])
    bookmarks.reset("relay-1")
    memberships.entered(joined("#a", { settings: { replay: false } }), 20)
    expect(bookmarks.since("relay-1", "#a")).toBe(30)
  })
})
