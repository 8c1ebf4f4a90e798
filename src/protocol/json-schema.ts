/** The messages of the protocol as JSON Schema 2020-12, for programs in other languages. */
import { clientMessages, type OutboxType, outboxTypes } from "./client-messages.js"
import { frameIdPattern } from "./message-id.js"
import { type Fields, type JsonSchema, matching, object, optional, strictObject } from "./schema.js"
import { serverMessages } from "./server-messages.js"
import { draftBodies } from "./statements.js"
import { isVerb } from "./verbs.js"

const frameId = optional(matching(frameIdPattern, "the id of the frame, chosen by its sender"))

/**
 * Returns one schema for all messages: `#/$defs/ClientMessage`, `#/$defs/ServerMessage` and `#/$defs/OutboxLine`, and each
 * message as `#/$defs/client.TYPE`, `#/$defs/server.TYPE` or `#/$defs/outbox.TYPE`. Whatever the relay or a daemon accepts
 * passes it.
 */
export function protocolSchema(): JsonSchema {
  const client = definitions(clientMessages, "client", { id: frameId })
  const server = definitions(serverMessages, "server", {})
  const outbox = Object.fromEntries(outboxTypes.map((type) => [`outbox.${type}`, outboxLine(type)]))
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Messages of agentchat",
    $ref: "#/$defs/ClientMessage",
    $defs: {
      ClientMessage: { description: "A frame that a client sends", anyOf: refs(client) },
      ServerMessage: { description: "A frame that a relay sends", anyOf: refs(server) },
      OutboxLine: { description: "A line of a daemon's outbox.jsonl", anyOf: refs(outbox) },
      ...client,
      ...server,
      ...outbox,
    },
  }
}

function definitions(
  rows: Readonly<Record<string, { readonly summary: string; readonly fields: Fields }>>,
  prefix: string,
  head: Fields,
): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(rows).map(([type, { summary, fields }]) => [
      `${prefix}.${type}`,
      withType(type, { description: summary, ...object({ ...head, ...fields }).json() }),
    ]),
  )
}

/** A line of the outbox has no type if it is a MSG, and a statement is written as its draft. */
function outboxLine(type: OutboxType): JsonSchema {
  const { summary, fields } = clientMessages[type]
  const line = isVerb(type)
    ? strictObject({ id: frameId, type: anyType, ...draftBodies[type] })
    : object({ id: frameId, ...fields })
  const schema = withType(type, { description: summary, ...line.json() })
  return type === "MSG" ? { ...schema, required: ["to", "content"] } : schema
}

const anyType = optional(matching(/^/, ""))

function withType(type: string, { properties, required = [], ...schema }: JsonSchema): JsonSchema {
  return {
    ...schema,
    properties: { ...(properties as object), type: { const: type } },
    required: ["type", ...(required as readonly string[])],
  }
}

function refs(schemas: Readonly<Record<string, JsonSchema>>): JsonSchema[] {
  return Object.keys(schemas).map((name) => ({ $ref: `#/$defs/${name}` }))
}
