import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryDirectory } from "./temporary.js"

/** Makes a self-signed certificate and its key, in PEM. Needs `openssl`. */
export function makeCertificate(name: string): { readonly cert: string; readonly key: string } {
  const folder = temporaryDirectory()
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  execFileSync("openssl", ["req", "-x509", ...kind, "-subj", `/CN=${name}`, "-keyout", key, "-out", cert], {
    stdio: "ignore",
  })
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
}
