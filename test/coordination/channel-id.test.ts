import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { channelOf, idOfChannel, mintChannelId, parseChannelId } from "../../src/coordination/channel-id.js"
import { parseChannel } from "../../src/protocol/names.js"

describe("ids of coordination channels", () => {
  it("are two letters and two digits that nobody mistakes for others", () => {
    for (let i = 0; i < 500; i++) expect(mintChannelId()).toMatch(/^[A-HJKMP-Z]{2}[4-9]{2}$/)
  })

  it.each([
    ["ab45", "AB45"],
    [" Ab45 ", "AB45"],
    ["VHGC", "VHGC"],
    ["4567", "4567"],
  ])("are read from %j", (text, id) => {
    expect(parseChannelId(text)).toBe(id)
  })

  it.each([
    "",
    "AB",
    "ABCDE",
    "ABC!",
    "abc1",
    "....",
    "ABO0",
    "ABCI",
    "ABCL",
    "ABCN",
    "ß45",
    "ßß",
    "AB4５",
    "../A",
  ])("are not read from %j", (text) => {
    expect(parseChannelId(text)).toBeUndefined()
  })

  it("are valid names of channels, and are found in them again", () => {
    const id = mintChannelId(() => 0)
    expect(id).toBe("AA44")
    expect(parseChannel(channelOf(id))).toBe("#co.AA44")
    expect(idOfChannel("#co.AA44")).toBe("AA44")
    expect(["#co.AA4", "#co.aa44", "#co.AA44.x", "#general", "#xco.AA44"].map(idOfChannel)).toEqual(
      Array.from({ length: 5 }, () => undefined),
    )
  })

  it("are the same after they were read", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), (text) => {
        const id = parseChannelId(text)
        return id === undefined || parseChannelId(id) === id
      }),
    )
  })
})
