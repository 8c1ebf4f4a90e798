import * as v from "valibot"
import { listOf, shortText } from "./message-fields.js"

const tag = shortText(64)
/** What an agent tells of itself; the shape of skills is that of an A2A AgentCard (A2A 0.3 §5.5). */
export const card = v.object({
  kind: v.optional(v.picklist(["agent", "endpoint"], "must be agent or endpoint")),
  description: v.optional(shortText(500)),
  version: v.optional(shortText(64)),
  url: v.optional(shortText(500)),
  tags: v.optional(listOf(tag)),
  skills: v.optional(
    listOf(
      v.object({
        id: tag,
        name: shortText(128),
        description: v.optional(shortText(500)),
        tags: v.optional(listOf(tag)),
      }),
    ),
  ),
  meta: v.optional(
    v.pipe(
      v.record(shortText(64), v.unknown(), "must be an object"),
      v.check((meta) => JSON.stringify(meta).length <= 4096, "must be at most 4096 characters of JSON"),
    ),
  ),
})
/** An {@link card} as it is told to others. */
export type AgentCard = v.InferOutput<typeof card>
