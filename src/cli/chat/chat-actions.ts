import type { PresenceState } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type AgentRef,
  type Channel,
  type Nick,
  parseAgentRef,
  parseChannel,
  parseNick,
} from "../../protocol/names.js"

/** What a line at the prompt asks for. */
export type ChatAction =
  | { readonly kind: "say"; readonly text: string }
  | { readonly kind: "join"; readonly channel: Channel }
  | { readonly kind: "leave"; readonly channel: Channel | undefined }
  | { readonly kind: "who"; readonly channel: Channel | undefined }
  | { readonly kind: "dm"; readonly to: AgentRef; readonly text: string }
  | { readonly kind: "nick"; readonly name: Nick }
  | { readonly kind: "presence"; readonly status: PresenceState; readonly activity: string }
  | { readonly kind: "help" }
  | { readonly kind: "quit" }

type Read = (first: string, others: string) => ChatAction

const presence =
  (status: PresenceState): Read =>
  (first, others) => ({ kind: "presence", status, activity: `${first} ${others}`.trim() })

const readers: Readonly<Record<string, Read>> = {
  join: (channel) => ({ kind: "join", channel: parseChannel(channel) }),
  leave: (channel) => ({ kind: "leave", channel: optionalChannel(channel) }),
  who: (channel) => ({ kind: "who", channel: optionalChannel(channel) }),
  dm: (agent, text) => ({ kind: "dm", to: parseAgentRef(agent), text }),
  nick: (name) => ({ kind: "nick", name: parseNick(name) }),
  working: presence("working"),
  waiting: presence("waiting"),
  idle: presence("idle"),
  away: presence("away"),
  help: () => ({ kind: "help" }),
  quit: () => ({ kind: "quit" }),
}

/** What `/help` prints. */
export const chatHelp = [
  "text            say it where the prompt says you are",
  "/join #channel  enter a channel, making it if need be, and talk there",
  "/leave          leave this channel; or /leave #channel",
  "/who            who is here; or /who #channel",
  "/dm @agent text say it to one agent; without text, talk there from now on",
  "/nick NAME      be called NAME (a new session)",
  "/working TEXT   tell others what you do; also /waiting /idle /away",
  "//text          say a text that starts with /",
  "/quit           leave; so does Ctrl-D",
] as const

/**
 * Reads a line typed at the prompt.
 * @returns undefined for an empty one
 * @throws {ChatError} USAGE or INVALID_NAME
 */
export function parseChatLine(line: string): ChatAction | undefined {
  if (line.trim() === "") return undefined
  if (line.startsWith("//")) return { kind: "say", text: line.slice(1) }
  if (!line.startsWith("/")) return { kind: "say", text: line }
  const [, word = "", first = "", others = ""] = /^\/(\S*)\s*(\S*)\s*(.*)$/s.exec(line) ?? []
  if (Object.hasOwn(readers, word)) {
    const action = readers[word]?.(first, others)
    if (action !== undefined) return action
  }
  throw new ChatError("USAGE", `/${word}: is no command`, {
    hint: `there are /${Object.keys(readers).join(" /")}; // says a text that starts with /`,
  })
}

function optionalChannel(text: string): Channel | undefined {
  return text === "" ? undefined : parseChannel(text)
}
