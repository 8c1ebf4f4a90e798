import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Bookmarks } from "../../../src/daemon/session/bookmarks.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const at = (serverId: string, channel: string, seq: number) => ({ serverId, channel, seq })
const server = "ws://127.0.0.1:6667"

function setUp() {
  const dir = temporaryDirectory()
  const path = join(dir, "bookmarks.json")
  return { dir, path, bookmarks: Bookmarks.open(path, server) }
}

describe("Bookmarks", () => {
  it("are empty at first", () => {
    const { bookmarks } = setUp()
    expect(bookmarks.channels).toEqual([])
    expect(bookmarks.since("s1", "#a")).toBeUndefined()
  })

  it("keep the whole list of wanted channels and patterns, even if none was joined", () => {
    const { path, bookmarks } = setUp()
    expect(bookmarks.isNew).toBe(true)
    bookmarks.enter("#old", 5)
    bookmarks.enter("#kept", 6)
    bookmarks.addMatch("#team.a", "#team.>")
    bookmarks.addMatch("#gone.a", "#gone.>")
    bookmarks.enter("#team.a", 1)
    bookmarks.enter("#gone.a", 1)
    bookmarks.setWanted(["#kept", "#new", "#team.>"])
    expect(bookmarks.save()).toBeUndefined()
    const again = Bookmarks.open(path, server)
    expect(again.isNew).toBe(false)
    expect(again.channels).toEqual(["#kept", "#team.a", "#new"])
    expect(again.patterns).toEqual(["#team.>"])
    expect(again.isKnown("#kept")).toBe(true)
    expect(again.isKnown("#new")).toBe(false)
  })

  it("keep channels and positions over a restart", () => {
    const { path, bookmarks } = setUp()
    bookmarks.reset("s1")
    bookmarks.enter("#quiet", 5)
    for (const channel of ["#a", "#b"]) bookmarks.enter(channel, 0)
    bookmarks.advance([at("s1", "#a", 3), at("s1", "#b", 9), at("s1", "#a", 4)])
    expect(bookmarks.save()).toBeUndefined()
    const again = Bookmarks.open(path, server)
    expect(again.channels).toEqual(["#quiet", "#a", "#b"])
    expect(again.since("s1", "#quiet")).toBe(5)
    expect(again.since("s1", "#a")).toBe(4)
    expect(again.since("s1", "#b")).toBe(9)
    expect(again.since("s1", "#c")).toBeUndefined()
  })

  it("start at 0 on a relay that restarted", () => {
    const { bookmarks } = setUp()
    bookmarks.reset("s1")
    bookmarks.enter("#a", 0)
    bookmarks.advance([at("s1", "#a", 3)])
    expect(bookmarks.since("s2", "#a")).toBe(0)
    bookmarks.reset("s2")
    expect(bookmarks.since("s2", "#a")).toBe(0)
    // A late confirmation of a message of the old relay is ignored.
    bookmarks.advance([at("s1", "#a", 4)])
    expect(bookmarks.since("s2", "#a")).toBe(0)
    bookmarks.advance([at("s2", "#a", 1)])
    expect(bookmarks.since("s2", "#a")).toBe(1)
  })

  it("keep only the channel names if the URL of the relay changed", () => {
    const { path, bookmarks } = setUp()
    bookmarks.reset("s1")
    bookmarks.enter("#a", 3)
    bookmarks.save()
    const elsewhere = Bookmarks.open(path, "ws://elsewhere:6667")
    expect(elsewhere.channels).toEqual(["#a"])
    expect(elsewhere.since("s1", "#a")).toBeUndefined()
  })

  it("never go back, and have a position before the first message", () => {
    const { bookmarks } = setUp()
    bookmarks.reset("s1")
    bookmarks.enter("#a", 0)
    expect(bookmarks.since("s1", "#a")).toBe(0)
    bookmarks.advance([at("s1", "#a", 7), at("s1", "#a", 2)])
    bookmarks.enter("#a", 1)
    bookmarks.reset("s1")
    expect(bookmarks.since("s1", "#a")).toBe(7)
  })

  it("do not return to a channel that was left while its last message was being written", () => {
    const { path, bookmarks } = setUp()
    bookmarks.reset("s1")
    bookmarks.enter("#a", 3)
    bookmarks.forget("#a")
    bookmarks.advance([at("s1", "#a", 4)])
    expect(bookmarks.channels).toEqual([])
    bookmarks.save()
    expect(Bookmarks.open(path, server).channels).toEqual([])
  })

  it("forget a channel that was left", () => {
    const { path, bookmarks } = setUp()
    bookmarks.enter("#a", 2)
    bookmarks.save()
    bookmarks.forget("#a")
    bookmarks.save()
    expect(Bookmarks.open(path, server).channels).toEqual([])
  })

  it("remember over a restart which channels are invite-only", () => {
    const { path, bookmarks } = setUp()
    bookmarks.enter("#den", 0, { isInviteOnly: true })
    bookmarks.enter("#open", 0)
    bookmarks.save()
    const again = Bookmarks.open(path, server)
    expect(again.isInviteOnly("#den")).toBe(true)
    expect(again.isInviteOnly("#open")).toBe(false)
    again.forget("#den")
    expect(again.isInviteOnly("#den")).toBe(false)
  })

  it("write the file only if something changed", () => {
    const { dir, path, bookmarks } = setUp()
    bookmarks.save()
    expect(readdirSync(dir)).toEqual([])
    bookmarks.enter("#a", 2)
    bookmarks.save()
    rmSync(path)
    bookmarks.save()
    expect(readdirSync(dir)).toEqual([])
  })

  it("return the error of a failed write, and write later", () => {
    const { dir, bookmarks, path } = setUp()
    rmSync(dir, { recursive: true })
    bookmarks.enter("#a", 2)
    expect(bookmarks.save()).toMatchObject({ code: "FILE_FAILED" })
    mkdirSync(dir)
    expect(bookmarks.save()).toBeUndefined()
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ channels: { "#a": 2 } })
  })

  it.each(["", "{", "null", "[]", '{"v":1}', '{"server_id":1,"channels":{}}'])(
    "ignore a damaged file: %j",
    (text) => {
      const { path } = setUp()
      writeFileSync(path, text)
      expect(Bookmarks.open(path, server).channels).toEqual([])
    },
  )
})
