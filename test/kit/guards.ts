import { join } from "node:path"
import { readGuardFile } from "../../src/cli/input/guard-file.js"

/** Limits at which no guard stops anybody, for tests of other things. */
export const liftedGuardsPath = join(import.meta.dirname, "lifted-guards.yaml")

export const liftedGuards = await readGuardFile(liftedGuardsPath, "--guards")
