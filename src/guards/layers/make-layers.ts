import type { GuardLimits } from "../guard-limits.js"
import type { Layer } from "../said.js"

/** The layers, in the order in which they are asked. */
export function makeLayers(_limits: GuardLimits): Layer[] {
  return []
}
