import { join, relative } from "node:path"
import type { Config } from "../config.js"

/** A path below the home directory as a user would type it from the working directory. */
export function shownPath(config: Config, path: string): string {
  return join(config.shownHome, relative(config.home, path))
}
