import { describe, expect, it } from "vitest"
import type { Loss } from "../kit/nats-witness.js"
import type { Evidence } from "../kit/storm-agent.js"
import { judgeStorm } from "../kit/storm-verdict.js"

const ids = { ann: "@aaaaaaaaaaaaaaaa", bob: "@bbbbbbbbbbbbbbbb" }

/** Ann sent Bob a message and queued a task. Both were accepted, but neither arrived. */
function evidence(): Evidence[] {
  const agent = (name: keyof typeof ids): Evidence => ({
    ...{ id: ids[name], name, role: "crew0", endings: [], rejected: [], inbox: [] },
    written: [],
    acks: [],
  })
  const written = [
    { id: "ann-0", to: "bob", serial: 0 },
    { id: "ann-1", to: "+crew0", serial: 1 },
  ]
  const acks = written.map(({ id }) => ({ id, msg_id: `${ids.ann.slice(1)}.${id}`, state: "accepted" }))
  return [{ ...agent("ann"), written, acks }, agent("bob")]
}

const missing = ["ann-0 to bob in the inbox of bob", "the answer to ann-1 for ann"]

/** An entry that NATS lost. */
function lossOf(stream: string, id: string, text = ""): Loss {
  return { stream, id, text, seq: 1, subject: "", digest: "" }
}

describe("the verdict on a storm", () => {
  it("the verdict lists accepted messages and tasks that did not arrive", () => {
    expect(judgeStorm(evidence())).toEqual({ missing, wrong: [], excused: [] })
  })

  it("the verdict excuses only the message or task whose entry NATS lost", () => {
    const [ann, bob] = [ids.ann.slice(1), ids.bob.slice(1)]
    const [mail, task, answer] = [
      lossOf("agentchat_log_inbox", `${bob}:${ann}.ann-0`),
      lossOf("KV_agentchat_task", "", `{"id":"${ann}.ann-1","topic":"crew0"}`),
      lossOf("agentchat_log_inbox", `${ann}:done/${ann}.ann-1`),
    ]
    const [first = "", second = ""] = missing
    expect(judgeStorm(evidence(), [mail])).toEqual({ missing: [second], wrong: [], excused: [first] })
    for (const loss of [task, answer]) {
      expect(judgeStorm(evidence(), [loss])).toEqual({ missing: [first], wrong: [], excused: [second] })
    }
    const others = [
      lossOf("agentchat_log_inbox", `${ann}:${ann}.ann-0`),
      lossOf("agentchat_log_inbox", `${bob}:${ann}.ann-00`),
      lossOf("KV_agentchat_task", "", `{"id":"${ann}.ann-0","topic":"crew0"}`),
    ]
    expect(judgeStorm(evidence(), others)).toEqual({ missing, wrong: [], excused: [] })
  })
})
