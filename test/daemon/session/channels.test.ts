import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { InboxLine } from "../../../src/daemon/inbox/line.js"
import { Bookmarks } from "../../../src/daemon/session/bookmarks.js"
import { Channels } from "../../../src/daemon/session/channels.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { ChatError, type ErrorCode } from "../../../src/protocol/errors.js"
import type { Channel } from "../../../src/protocol/names.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { joined as joinedMessage, welcome } from "../../kit/fake-relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const server = "ws://relay"
const settings = { description: "about it" }
const left = (channel: string): ServerMessage<"LEFT"> => ({ type: "LEFT", channel, re: "r" })
const joined = (channel: string, more: Partial<ServerMessage<"JOINED">> = {}) =>
  ({ ...joinedMessage(channel, undefined, 30), ...more }) as ServerMessage<"JOINED">

/** A session that answers every JOIN, except those of channels in `refused`. */
function openSession(codes: Readonly<Record<string, ErrorCode>> = {}) {
  const refused = new Map(Object.entries(codes))
  let more: Partial<ServerMessage<"JOINED">> = {}
  const sent: ClientFrame[] = []
  const request = (frame: ClientFrame) => {
    sent.push(frame)
    const { channel } = frame as ClientFrame<"JOIN">
    const code = frame.type === "JOIN" ? refused.get(channel) : undefined
    if (code !== undefined) return Promise.reject(new ChatError(code, "no"))
    return Promise.resolve(
      joined(channel, { settings, ...(channel.endsWith(">") ? { pattern: channel } : {}), ...more }),
    )
  }
  const session = { welcome: welcome("bob", "@a") as ServerMessage<"WELCOME">, request: request as never }
  const requests = (type: ClientFrame["type"]) =>
    sent.filter((frame) => frame.type === type).map((frame) => (frame as { channel: string }).channel)
  const answerWith = (fields: Partial<ServerMessage<"JOINED">>) => void (more = fields)
  return { sent, session, refused, requests, answerWith }
}

function openChannels(wanted?: readonly string[], path = join(temporaryDirectory(), "bookmarks.json")) {
  const bookmarks = Bookmarks.open(path, server)
  const names = wanted ?? [...bookmarks.channels, ...bookmarks.patterns]
  const lines: InboxLine[] = []
  const inbox = { append: (line: InboxLine) => lines.push(line) > 0 }
  const channels = new Channels({ bookmarks, wanted: names as Channel[], inbox, now: () => 0, log: () => {} })
  return { path, bookmarks, channels, joinedLines: () => lines.map(({ channel }) => channel) }
}

describe("a channel pattern", () => {
  it("is joined after the known channels, each of which continues from its bookmark", async () => {
    const first = openChannels(["#team.>", "#general"])
    await first.channels.attach(openSession().session)
    first.channels.onJoined(joined("#team.a", { pattern: "#team.>" }), 20)
    first.bookmarks.advance([{ serverId: "relay-1", channel: "#team.a", seq: 33 }])
    first.bookmarks.save()
    const second = openChannels(undefined, first.path)
    const { session, sent } = openSession()
    await second.channels.attach(session)
    expect(sent).toEqual([
      { type: "JOIN", channel: "#general", since: 10 },
      { type: "JOIN", channel: "#team.a", since: 33 },
      { type: "JOIN", channel: "#team.>" },
    ])
    expect(second.channels.patterns).toEqual(["#team.>"])
    expect(second.channels.names).toEqual(["#general", "#team.a"])
  })

  it("leaves the channels that were joined only because they match it, also after a restart", async () => {
    const first = openChannels(["#team.>", "#team.mine"])
    await first.channels.attach(openSession().session)
    for (const channel of ["#team.a", "#team.b", "#team.mine"]) {
      first.channels.onJoined(joined(channel, { pattern: "#team.>" }), 20)
    }
    first.channels.onJoined(joined("#team.b"), 20)
    first.bookmarks.save()
    const second = openChannels(undefined, first.path)
    const { session, requests } = openSession()
    await second.channels.attach(session)
    second.channels.onLeft(left("#team.>"))
    expect(requests("LEAVE")).toEqual(["#team.a"])
    expect(second.channels.patterns).toEqual([])
    expect([...second.channels.names].sort()).toEqual(["#team.b", "#team.mine"])
    second.bookmarks.save()
    expect(openChannels(undefined, first.path).channels.patterns).toEqual([])
  })

  it("does not leave a channel that another pattern matches", async () => {
    const { channels } = openChannels(["#team.>", "#*.a"])
    const { session, requests } = openSession()
    await channels.attach(session)
    channels.onJoined(joined("#team.a", { pattern: "#team.>" }), 20)
    channels.onLeft(left("#team.>"))
    expect(requests("LEAVE")).toEqual([])
    channels.onLeft(left("#*.a"))
    expect(requests("LEAVE")).toEqual(["#team.a"])
    expect(channels.names).toEqual([])
  })

  it("does not recreate a channel that it brought and that no longer exists", async () => {
    const { channels } = openChannels(["#team.>"])
    channels.onJoined(joined("#team.a", { pattern: "#team.>" }), 20)
    const { session, sent, requests } = openSession({ "#team.a": "CHANNEL_NOT_FOUND" })
    expect(await channels.attach(session)).toEqual({ temporary: undefined, refused: new Map(), reset: [] })
    expect(sent).toHaveLength(2)
    expect(requests("JOIN")).toEqual(["#team.a", "#team.>"])
    expect(channels.names).toEqual([])
  })
})

describe("the channels of a daemon", () => {
  it("are tried again only if they failed with a temporary error", async () => {
    const { channels } = openChannels(["#a", "#b", "#c.>", "#d"])
    const codes = { "#b": "UNAVAILABLE", "#c.>": "UNAVAILABLE", "#d": "LIMIT_REACHED" } as const
    const { session, refused, sent, requests } = openSession(codes)
    const failures = await channels.attach(session)
    expect(failures?.temporary?.code).toBe("UNAVAILABLE")
    expect([...(failures?.refused.keys() ?? [])]).toEqual(["#d"])
    refused.clear()
    sent.length = 0
    expect(await channels.retryJoins()).toEqual({ temporary: undefined, refused: new Map(), reset: [] })
    expect(requests("JOIN")).toEqual(["#b", "#c.>"])
    expect(await channels.retryJoins()).toBeUndefined()
  })

  it("get an inbox line once, when they are joined for the first time", async () => {
    const first = openChannels(["#a"])
    await first.channels.attach(openSession().session)
    await first.channels.attach(openSession().session)
    first.channels.onJoined(joined("#b", { settings }), 20)
    first.bookmarks.save()
    const second = openChannels(undefined, first.path)
    await second.channels.attach(openSession().session)
    expect([first.joinedLines(), second.joinedLines()]).toEqual([["#a", "#b"], []])
    second.channels.onLeft(left("#a"))
    second.channels.onJoined(joined("#a", { settings }), 20)
    expect(second.joinedLines()).toEqual(["#a"])
  })

  it("lose their bookmark when they are left: leaving ends the right to what follows", () => {
    const { channels, bookmarks } = openChannels(["#a"])
    channels.onJoined(joined("#a", { durable: true }), 20)
    expect(channels.durable).toEqual(["#a"])
    bookmarks.advance([{ serverId: "relay-1", channel: "#a", seq: 40 }])
    channels.onLeft(left("#a"))
    expect([channels.durable, bookmarks.since("relay-1", "#a")]).toEqual([[], undefined])
    channels.onJoined(joined("#a", { durable: true, settings: { replay: false } }), 20)
    bookmarks.reset("relay-1")
    expect(bookmarks.since("relay-1", "#a")).toBe(0)
  })

  it("start after the last message if the channel does not replay to newcomers", () => {
    const { channels, bookmarks } = openChannels(["#a"])
    bookmarks.reset("relay-1")
    channels.onJoined(joined("#a", { settings: { replay: false } }), 20)
    expect(bookmarks.since("relay-1", "#a")).toBe(30)
  })
})

describe("a channel whose messages began anew in the relay's store", () => {
  it("is reported once, and continues below its old bookmark", async () => {
    const { channels, bookmarks } = openChannels(["#kept"])
    const first = openSession()
    await channels.attach(first.session)
    bookmarks.advance([{ serverId: "relay-1", channel: "#kept", seq: 500 }])
    const { session, answerWith } = openSession()
    answerWith({ reset: true, seq: 300 })
    expect(await channels.attach(session)).toMatchObject({ reset: ["#kept"] })
    expect(bookmarks.since("relay-1", "#kept")).toBe(280)
    answerWith({ seq: 300 })
    expect(await channels.attach(session)).toMatchObject({ reset: [] })
  })
})
