import { describe, expect, it } from "vitest"
import { initialChannels } from "../../src/daemon/options.js"
import type { Channel, ChannelPattern } from "../../src/protocol/names.js"

const names = (...list: string[]) => list as Channel[]
const defaultChannels = names("#general")
const nothing = { channels: [], patterns: [] }
const last = { channels: names("#a"), patterns: ["#team.>"] as unknown as ChannelPattern[] }

describe("the channels a run begins with", () => {
  it("are those it was asked to be in, even none", () => {
    expect(initialChannels({ channels: names("#b"), defaultChannels }, last)).toEqual(["#b"])
    expect(initialChannels({ channels: [], defaultChannels }, last)).toEqual([])
  })

  it("are else those of the last run, with its patterns, and the default ones only on a first run", () => {
    expect(initialChannels({ defaultChannels }, last)).toEqual(["#a", "#team.>"])
    expect(initialChannels({ defaultChannels }, nothing)).toEqual(["#general"])
  })
})
