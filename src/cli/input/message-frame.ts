/** Options that say more of a message than its text. */
import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { type Kind, messageKinds } from "../../protocol/message-kinds.js"
import type { Address, AgentRef } from "../../protocol/names.js"
import { type Parse, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { agentRef, closeChoice, someText } from "./values.js"

type Part = NonNullable<ClientFrame<"MSG">["parts"]>[number]

const dataPart: Parse<Part> = (text, label) => ({ kind: "data", data: readJson(text, label) })

/** `KIND=OBJECT`: the object's members stand beside `kind`. */
const namedPart: Parse<Part> = (text, label) => {
  const [, kind = "", json = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? []
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(kind)) {
    throw new ChatError("USAGE", `${label}: its kind must be a reverse-DNS name, such as com.example.diff`, {
      hint: `write ${label} 'com.example.diff={"file":"a.ts"}'; for plain data use --data`,
    })
  }
  const members = readJson(json, label)
  if (typeof members === "object" && members !== null && !Array.isArray(members)) {
    const { kind: _kind, ...others } = members as Readonly<Record<string, unknown>>
    return { kind, ...others }
  }
  throw new ChatError("USAGE", `${label}: what follows ${kind}= must be a JSON object`)
}

/** Options of every command that sends a message. */
export const messageOptions = {
  "reply-to": value("MSG_ID", "the message this answers", someText),
  kind: value(
    "KIND",
    `why you write it: ${messageKinds.join(", ")}; ack, auto and status wake nobody`,
    closeChoice(messageKinds),
    messageKinds,
  ),
  mention: repeated("@AGENT", "call its attention; may stand several times", agentRef),
  data: repeated("JSON", "data beside the text; may stand several times", dataPart),
  part: repeated("KIND=JSON", "an object of a kind of your own, such as com.example.diff", namedPart),
}

/** Values of {@link messageOptions}. */
interface MessageChoice {
  readonly "reply-to": string | undefined
  readonly kind: Kind | undefined
  readonly mention: readonly AgentRef[] | undefined
  readonly data: readonly Part[] | undefined
  readonly part: readonly Part[] | undefined
}

/** The frame of a message; a text of `-` is read from standard input. */
export async function messageFrame(
  { io }: Context,
  to: Address,
  text: string,
  { "reply-to": in_reply_to, kind, mention, data = [], part = [] }: MessageChoice,
): Promise<ClientFrame<"MSG"> & { readonly to: Address }> {
  const content = text === "-" ? await (await import("./input-text.js")).readText(io.input) : text
  const parts = [...data, ...part]
  return {
    type: "MSG",
    to,
    content,
    ...omitUndefined({ in_reply_to, kind, mentions: mention && [...mention] }),
    ...(parts.length === 0 ? {} : { parts }),
  }
}

function readJson(text: string, label: string): unknown {
  try {
    return parseStrictJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = error.path === "" ? "" : ` at ${error.path}`
    throw new ChatError("USAGE", `${label}: is not JSON${where}: ${error.message.slice(0, 120)}`, {
      cause: error,
    })
  }
}
