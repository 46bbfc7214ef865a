import { bringFile } from './bring.ts'
import { checkDigest } from './bundle.ts'
import type { InputsFromElsewhere } from './contract.ts'
import { inputsDirectory } from './layout.ts'
import type { Reach } from './reach.ts'

/** Files that another cluster has computed: kept by their digest, so that what many jobs take is brought once. */
export function openInputs(reach: Reach): InputsFromElsewhere {
  return {
    pathOf: (projectId, sha256) => `${inputsDirectory(reach.root, projectId)}/${checkDigest(sha256)}`,
    bring(projectId, { sha256, size, path }, local) {
      const name = checkDigest(sha256)
      const folder = inputsDirectory(reach.root, projectId)
      return bringFile(reach, { folder, name, part: `${name}.part`, size, what: `the input ${path}` }, local)
    },
  }
}
