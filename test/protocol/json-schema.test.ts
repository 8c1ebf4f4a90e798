import { Ajv2020 } from "ajv/dist/2020.js"
import { describe, expect, it } from "vitest"
import { clientMessages, outboxTypes } from "../../src/protocol/client-messages.js"
import { protocolSchema } from "../../src/protocol/json-schema.js"
import { parseClientMessage, parseServerMessage } from "../../src/protocol/parse-message.js"
import { type Fields, type Schema } from "../../src/protocol/schema.js"
import { serverMessages } from "../../src/protocol/server-messages.js"
import { isVerb } from "../../src/protocol/verbs.js"
import { clientExamples } from "../kit/client-examples.js"
import frames from "../vectors/server-frames.json" with { type: "json" }

const schema = protocolSchema()
const ajv = new Ajv2020({ strict: false })
ajv.addSchema(schema, "agentchat")

function accepts(name: string, value: unknown): boolean {
  const validate = ajv.getSchema(`agentchat#/$defs/${name}`)
  if (validate === undefined) throw new Error(`no definition ${name}`)
  return validate(value) as boolean
}

/** Lengths at which fields end. */
const lengths = [1, 64, 65, 128, 200, 201, 256, 400, 500, 1_024, 2_000, 20_000].map((length) =>
  "x".repeat(length),
)
const wrongValues = [null, true, -1, 1.5, "", "text", "#", [], {}, [1], ["x"], { a: 1 }, ...lengths]
const clientFrames = Object.entries(clientExamples).map(([type, fields]) => ({ type, id: "a-1", ...fields }))
const serverFrames = frames.frames as readonly ({ type: string } & Record<string, unknown>)[]

/** Returns the frame with one field after the other replaced by each wrong value, and left out. */
function* changed(frame: Readonly<Record<string, unknown>>) {
  for (const name of Object.keys(frame).filter((key) => key !== "type")) {
    const { [name]: _left, ...others } = frame
    yield { name, value: undefined, changed: others }
    for (const value of wrongValues) yield { name, value, changed: { ...others, [name]: value } }
  }
}

describe("the JSON Schema of the messages", () => {
  it("defines every message of a client and of a relay, and every outbox line", () => {
    const names = Object.keys(schema["$defs"] as object)
    expect(names).toEqual([
      ...["ClientMessage", "ServerMessage", "OutboxLine"],
      ...Object.keys(clientMessages).map((type) => `client.${type}`),
      ...Object.keys(serverMessages).map((type) => `server.${type}`),
      ...outboxTypes.map((type) => `outbox.${type}`),
    ])
  })

  it.each(clientFrames)("takes $type of a client", (frame) => {
    expect(accepts(`client.${frame.type}`, frame)).toBe(true)
    expect(accepts("ClientMessage", frame)).toBe(true)
  })

  it.each(serverFrames)("takes $type of a relay", (frame) => {
    expect(accepts(`server.${frame.type}`, frame)).toBe(true)
    expect(accepts("ServerMessage", frame)).toBe(true)
  })

  it("takes whatever the relay takes, and refuses what a row can say in its words", () => {
    for (const frame of clientFrames) {
      for (const { name, value, changed: other } of changed(frame)) {
        const isRead = value !== null && "message" in parseClientMessage(JSON.stringify(other))
        const row = clientMessages[frame.type as keyof typeof clientMessages].fields as Fields
        const label = `${frame.type}.${name} = ${JSON.stringify([value]).slice(0, 40)}`
        if (isRead) expect(accepts(`client.${frame.type}`, other), label).toBe(true)
        else if (value !== null && isExact(row[name]) && !isEmptyText(name)) {
          expect(accepts(`client.${frame.type}`, other), label).toBe(false)
        }
      }
    }
  })

  it("takes whatever a client takes of a relay", () => {
    for (const frame of serverFrames) {
      for (const { name, value, changed: other } of changed(frame)) {
        if (parseServerMessage(JSON.stringify(other)) === undefined) continue
        expect(
          accepts(`server.${frame.type}`, other),
          `${frame.type}.${name} = ${JSON.stringify(value)}`,
        ).toBe(true)
      }
    }
  })

  it("takes an outbox line without a type as a message, and a statement without its signature", () => {
    expect(accepts("OutboxLine", { to: "#general", content: "hello" })).toBe(true)
    expect(accepts("OutboxLine", { type: "ACCEPT", proposal_id: "prop_k3v5mq2a" })).toBe(true)
    expect(accepts("OutboxLine", { type: "ACCEPT", proposal_id: "prop_k3v5mq2a", sig: "x" })).toBe(false)
    expect(accepts("OutboxLine", { content: "to nobody" })).toBe(false)
    expect(outboxTypes.filter(isVerb)).toHaveLength(5)
  })
})

/** Rules that only the program knows are no words of JSON Schema. */
function isExact(field: Schema<unknown> | undefined): boolean {
  return field !== undefined && !JSON.stringify(field.json()).includes('{"description"')
}

/** A message needs a text or parts, which is a rule about two fields. */
function isEmptyText(name: string): boolean {
  return name === "content"
}
