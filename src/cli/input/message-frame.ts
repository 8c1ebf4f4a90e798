/** Builds the frame of a message from the options of a command. */

import { omitUndefined } from "../../base/plain.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { type Kind, messageKinds } from "../../protocol/message-kinds.js"
import type { Address, AgentRef } from "../../protocol/names.js"
import { type Parse, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { parseJsonText, textArgument } from "./text-source.js"
import { agentRef, closeChoice, someText } from "./values.js"

type Part = NonNullable<ClientFrame<"MSG">["parts"]>[number]

const dataPart: Parse<Part> = (text, label) => ({ kind: "data", data: parseJsonText(text, label) })

/** Parses `KIND=OBJECT` into a part with the members of the object. */
const namedPart: Parse<Part> = (text, label) => {
  const [, kind = "", json = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? []
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(kind)) {
    throw new ChatError("USAGE", `${label}: its kind must be a reverse-DNS name, such as com.example.diff`, {
      hint: `write ${label} 'com.example.diff={"file":"a.ts"}'; for plain data use --data`,
    })
  }
  const members = parseJsonText(json, label)
  if (typeof members === "object" && members !== null && !Array.isArray(members)) {
    const { kind: _kind, ...others } = members as Readonly<Record<string, unknown>>
    return { kind, ...others }
  }
  throw new ChatError("USAGE", `${label}: the value of ${kind} must be a JSON object`)
}

/** Options of every command that sends a message. */
export const messageOptions = {
  "reply-to": value("MSG_ID", "id of the message this answers", someText),
  kind: value(
    "KIND",
    "request, inform; ack, auto, status wake nobody",
    closeChoice(messageKinds),
    messageKinds,
  ),
  mention: repeated("@AGENT", "mention an agent and wake it (repeatable)", agentRef),
  data: repeated("JSON", "attach JSON data (repeatable)", dataPart),
  part: repeated("KIND=JSON", "attach JSON of your own kind, such as com.example.diff", namedPart),
}

/** Values of {@link messageOptions}. */
interface MessageChoice {
  readonly "reply-to": string | undefined
  readonly kind: Kind | undefined
  readonly mention: readonly AgentRef[] | undefined
  readonly data: readonly Part[] | undefined
  readonly part: readonly Part[] | undefined
}

/** Returns the frame of a message. For the text `-`, reads standard input. */
export async function messageFrame(
  { io }: Context,
  to: Address,
  text: string,
  { "reply-to": in_reply_to, kind, mention, data = [], part = [] }: MessageChoice,
): Promise<ClientFrame<"MSG"> & { readonly to: Address }> {
  const content = await textArgument(text, io.input)
  const parts = [...data, ...part]
  if (content.trim() === "" && parts.length === 0) {
    throw new ChatError("INVALID_MSG", "text: is empty", { hint: "write a text, or attach --data or --part" })
  }
  return {
    type: "MSG",
    to,
    content,
    ...omitUndefined({ in_reply_to, kind, mentions: mention && [...mention] }),
    ...(parts.length === 0 ? {} : { parts }),
  }
}
