import { closestNames } from "../../base/closest-names.js"
import { ChatError } from "../../protocol/errors.js"
import { protocolSchema } from "../../protocol/json-schema.js"
import { defineCommand, optional } from "../command.js"
import { someText } from "../input/values.js"

export const schema = defineCommand({
  args: { name: optional("one definition, such as client.MSG, server.MSG or outbox.MSG", someText) },
  options: {},
  takesUrl: false,
  examples: ["agentchat schema > agentchat.schema.json", "agentchat schema client.MSG"],
  notes: [
    "JSON Schema 2020-12 of what a client, a relay and the outbox take: #/$defs/ClientMessage, ServerMessage and",
    "OutboxLine. A running relay publishes the same under GET /schema.",
  ],
  run({ io }, { args: { name } }) {
    const whole = protocolSchema()
    if (name === undefined) {
      io.out(JSON.stringify(whole, undefined, 2))
      return Promise.resolve(0)
    }
    const definitions = whole["$defs"] as Readonly<Record<string, unknown>>
    const found = Object.hasOwn(definitions, name) ? definitions[name] : undefined
    if (found === undefined) {
      const names = Object.keys(definitions)
      const close = closestNames(name, names)
      throw new ChatError("NOT_FOUND", `NAME: the schema has no ${JSON.stringify(name.slice(0, 60))}`, {
        candidates: close.length > 0 ? close : names.slice(0, 3),
        hint: "they are client.TYPE, server.TYPE and outbox.TYPE; see all: agentchat schema",
      })
    }
    io.out(JSON.stringify({ $schema: whole["$schema"], ...found }, undefined, 2))
    return Promise.resolve(0)
  },
})
