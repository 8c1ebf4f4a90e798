import { readStatus } from "../../daemon/status.js"
import { defaultServer } from "../../protocol/limits.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Config } from "../config.js"
import { instancePathsOf } from "../input/instance-choice.js"

/** The relay that is meant: named, `AGENTCHAT_SERVER`, that of this directory's daemon, the one on this machine. */
export function chooseServer(config: Config, url: string | undefined, name?: InstanceName): string {
  return url ?? config.server ?? readStatus(instancePathsOf(config, name).status)?.server ?? defaultServer
}

/** Whether two addresses mean the same relay. */
export function isSameServer(a: string, b: string): boolean {
  return normalUrl(a) === normalUrl(b)
}

function normalUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href : text
}
