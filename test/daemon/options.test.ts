import { describe, expect, it } from "vitest"
import { initialChannels } from "../../src/daemon/options.js"
import type { Channel, ChannelPattern } from "../../src/protocol/names.js"

const names = (...list: string[]) => list as Channel[]
const defaultChannels = names("#general")
const nothing = { channels: [], patterns: [], isNew: true }
const last = { channels: names("#a"), patterns: ["#team.>"] as unknown as ChannelPattern[], isNew: false }

describe("initialChannels", () => {
  it("returns the channels that were asked for, even none", () => {
    expect(initialChannels({ channels: names("#b"), defaultChannels }, last)).toEqual(["#b"])
    expect(initialChannels({ channels: [], defaultChannels }, last)).toEqual([])
  })

  it("otherwise returns those of the last run with its patterns, or the default ones on a first run", () => {
    expect(initialChannels({ defaultChannels }, last)).toEqual(["#a", "#team.>"])
    expect(initialChannels({ defaultChannels }, nothing)).toEqual(["#general"])
    expect(initialChannels({ defaultChannels }, { ...nothing, isNew: false })).toEqual([])
  })
})
