import { join } from "node:path"
import { readGuardFile } from "../../src/cli/input/guard-file.js"

/** Numbers at which no guard ever stops anybody, for tests that are about something else. */
export const liftedGuardsPath = join(import.meta.dirname, "lifted-guards.yaml")

export const liftedGuards = await readGuardFile(liftedGuardsPath, "--guards")
