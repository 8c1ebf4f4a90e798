import { randomInt } from "node:crypto"
import type { Channel } from "../protocol/names.js"

/** Letters and digits that cannot be mistaken for another when they are read out. */
const letters = "ABCDEFGHJKMPQRSTUVWXYZ"
const digits = "456789"
const shape = new RegExp(`^[${letters}${digits}]{4}$`)
const prefix = "#co."

/** The id of a coordination channel: four characters, such as `AB45`. */
export type ChannelId = string & { readonly brand?: "ChannelId" }

/** Makes an id of two letters and two digits: one of 17,424. */
export function mintChannelId(random: (below: number) => number = randomInt): ChannelId {
  const pick = (from: string) => from[random(from.length)] ?? ""
  return pick(letters) + pick(letters) + pick(digits) + pick(digits)
}

/**
 * Reads an id as people write it: in any case, with space around it.
 * @returns undefined if it is none, also for a character like ß, which is a letter of the alphabet only in capitals
 */
export function parseChannelId(text: string): ChannelId | undefined {
  const trimmed = text.trim()
  if (!/^[A-Za-z0-9]{4}$/.test(trimmed)) return undefined
  const id = trimmed.toUpperCase()
  return shape.test(id) ? id : undefined
}

/** Returns the channel of the relay that holds the events. */
export function channelOf(id: ChannelId): Channel {
  return `${prefix}${id}` as Channel
}

/** Returns the id of a channel's coordination channel; undefined for any other channel. */
export function idOfChannel(channel: string): ChannelId | undefined {
  const id = channel.startsWith(prefix) ? channel.slice(prefix.length) : ""
  return shape.test(id) ? id : undefined
}
