import { rootPaths } from "../../daemon/files/paths.js"
import { listDaemons } from "../../daemon/process/control.js"
import type { Context } from "../context.js"

/**
 * How to say which daemon of this directory is meant, for who named none and is not understood.
 * @param which - whether those count that do not run
 * @returns undefined where there is none to name
 */
export function otherDaemonsHint(
  { config, clock }: Pick<Context, "config" | "clock">,
  which: "running" | "all",
): string | undefined {
  const named = listDaemons(rootPaths(config.home), clock.now())
    .filter(({ name, running }) => name !== "default" && (which === "all" || running))
    .map(({ name }) => `--name ${name}`)
  if (named.length === 0) return undefined
  const more = named.length > 3 ? ", …" : ""
  return `say which daemon of this directory: ${named.slice(0, 3).join(", ")}${more}`
}
