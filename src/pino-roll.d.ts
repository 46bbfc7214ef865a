declare module 'pino-roll' {
  import type { SonicBoom } from 'sonic-boom'

  /** https://github.com/mcollina/pino-roll: a file stream that rolls by time and size. */
  export default function roll(options: {
    file: string
    frequency?: 'daily' | 'hourly' | number
    size?: string
    mkdir?: boolean
    dateFormat?: string
    extension?: string
  }): Promise<SonicBoom>
}
