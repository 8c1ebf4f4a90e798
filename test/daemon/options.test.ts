import { describe, expect, it } from "vitest"
import { wantedChannels } from "../../src/daemon/options.js"
import type { Channel, ChannelPattern } from "../../src/protocol/names.js"

const names = (...list: string[]) => list as Channel[]
const defaultChannels = names("#general")
const nothing = { channels: [], patterns: [] }
const last = { channels: names("#a"), patterns: ["#team.>"] as unknown as ChannelPattern[] }

describe("the channels a run begins with", () => {
  it("are those it was asked to be in, even none", () => {
    expect(wantedChannels({ channels: names("#b"), defaultChannels }, last)).toEqual(["#b"])
    expect(wantedChannels({ channels: [], defaultChannels }, last)).toEqual([])
  })

  it("are else those of the last run, with its patterns, and the default ones only on a first run", () => {
    expect(wantedChannels({ defaultChannels }, last)).toEqual(["#a", "#team.>"])
    expect(wantedChannels({ defaultChannels }, nothing)).toEqual(["#general"])
  })
})
