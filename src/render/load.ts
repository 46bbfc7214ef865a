/** How often clusters were used by us, hour by hour, as tables for a terminal. */
import type { HourOfLoad } from '../model/load.ts'
import { formatCount } from './amounts.ts'
import { createPaint } from './paint.ts'

export interface LoadStyle {
  readonly colour?: boolean
  readonly timeZone: string
  readonly now: Date
}

/** What is promised to those who run a scheduler, in the long run. */
export const promisedCommands = 0.2
const hour = 3_600_000

export function renderLoad(load: readonly HourOfLoad[], style: LoadStyle): string {
  const paint = createPaint(style.colour ?? false)
  if (load.length === 0) return '\n  No cluster was used in the last 24 hours.\n\n'
  const thisHour = Math.floor(style.now.getTime() / hour) * hour
  const hours = Array.from({ length: 24 }, (_, i) => new Date(thisHour - i * hour))
  const most = Math.max(1, ...load.map(row => row.schedulerCommands))
  const parts = [...new Set(load.map(row => row.connection))].map(connection => {
    const own = load.filter(row => row.connection === connection)
    const rows = hours.map(at => {
      const row = own.find(one => one.hour.getTime() === at.getTime())
      const bar = '▇'.repeat(Math.round((20 * (row?.schedulerCommands ?? 0)) / most))
      return `  ${formatHour(at, style.timeZone)}${cell(row?.logins)}${cell(row?.programs)}${cell(row?.schedulerCommands)}  ${paint('dim', bar)}`.trimEnd()
    })
    const sum = (key: 'logins' | 'programs' | 'schedulerCommands') => own.reduce((n, row) => n + row[key], 0)
    const busiest = Math.max(...own.map(row => row.schedulerCommands)) / 3_600
    const verdict = `At most ${busiest < 0.01 ? 'less than 0.01' : busiest.toFixed(2)} commands of the scheduler a second over an hour; ${promisedCommands} are promised.`
    return [
      `  ${paint('bold', connection)}`,
      `  ${'hour'.padEnd(hourWidth)}${head('logins')}${head('programs')}${head('scheduler')}`,
      ...rows,
      `  ${'24 hours'.padEnd(hourWidth)}${cell(sum('logins'))}${cell(sum('programs'))}${cell(sum('schedulerCommands'))}`,
      `  ${paint(busiest > promisedCommands ? 'warn' : 'dim', verdict)}`,
      '',
    ].join('\n')
  })
  const zone = paint(
    'dim',
    `  Times in ${style.timeZone}. Each login is a connection that was made; a program is a shell command of ours over it.`,
  )
  return `\n${parts.join('\n')}\n${zone}\n\n`
}

const hourWidth = 12

const head = (text: string) => text.padStart(11)

function cell(n: number | undefined): string {
  return (n === undefined || n === 0 ? '–' : formatCount(n)).padStart(11)
}

function formatHour(at: Date, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(at)
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find(one => one.type === type)?.value ?? ''
  return `${part('month')}-${part('day')} ${part('hour')}:${part('minute')}`.padEnd(hourWidth)
}
