import * as oauth from 'oauth4webapi'
import type { SecretSource } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'

/** The tokens of one who signed in: they only read (`read_api`); what a person does here is done by the service, within their rights. */
export interface Tokens {
  readonly access: string
  readonly refresh: string | null
  /** Milliseconds since 1970. */
  readonly until: number
}

/** What the browser keeps while its person is away at GitLab. */
export interface Departure {
  readonly state: string
  readonly verifier: string
}

export interface GitLabSignIn {
  /** Where to send the browser. */
  depart(): Promise<{ readonly url: string; readonly departure: Departure }>
  /** What came back, checked against what left. Throws CompopsError, with a sentence for the person. */
  arrive(url: URL, departure: Departure): Promise<Tokens>
  /** null where GitLab gives no more for it. */
  renew(refresh: string): Promise<Tokens | null>
  /** A courtesy: what cannot be revoked runs out by itself. */
  revoke(token: string): Promise<void>
}

/** Sign-in with GitLab: OAuth 2, authorization code with PKCE (RFC 6749, 7636), by oauth4webapi. */
export function openGitLabSignIn(options: {
  readonly gitlabUrl: string
  readonly publicUrl: string
  readonly applicationId: string
  readonly secret: SecretSource
  readonly now: () => number
  readonly deadline: number
}): GitLabSignIn {
  const { gitlabUrl, publicUrl, applicationId, secret, now, deadline } = options
  const server: oauth.AuthorizationServer = {
    issuer: gitlabUrl,
    authorization_endpoint: `${gitlabUrl}/oauth/authorize`,
    token_endpoint: `${gitlabUrl}/oauth/token`,
    revocation_endpoint: `${gitlabUrl}/oauth/revoke`,
  }
  const client: oauth.Client = { client_id: applicationId }
  const redirect = `${publicUrl}/sign-in/back`
  const settings = () => ({
    // Of GitLab on this machine; elsewhere `compops check` has said that the token travels in clear.
    [oauth.allowInsecureRequests]: gitlabUrl.startsWith('http://'),
    signal: AbortSignal.timeout(deadline),
  })
  const proof = async () => oauth.ClientSecretPost(await secret.read())
  const tokensOf = (answer: oauth.TokenEndpointResponse): Tokens => ({
    access: answer.access_token,
    refresh: answer.refresh_token ?? null,
    until: now() + (answer.expires_in ?? 7_200) * 1_000,
  })

  return {
    async depart() {
      const departure = { state: oauth.generateRandomState(), verifier: oauth.generateRandomCodeVerifier() }
      const url = new URL(server.authorization_endpoint!)
      for (const [name, value] of Object.entries({
        client_id: applicationId,
        redirect_uri: redirect,
        response_type: 'code',
        scope: 'read_api',
        state: departure.state,
        code_challenge: await oauth.calculatePKCECodeChallenge(departure.verifier),
        code_challenge_method: 'S256',
      }))
        url.searchParams.set(name, value)
      return { url: url.href, departure }
    },

    async arrive(url, { state, verifier }) {
      try {
        const params = oauth.validateAuthResponse(server, client, url, state)
        const answer = await oauth.authorizationCodeGrantRequest(
          ...([server, client, await proof(), params, redirect, verifier] as const),
          settings(),
        )
        return tokensOf(await oauth.processAuthorizationCodeResponse(server, client, answer))
      } catch (error) {
        throw new CompopsError(refusalOf(error), { cause: error, transient: !isRefusal(error) })
      }
    },

    async renew(refresh) {
      try {
        const answer = await oauth.refreshTokenGrantRequest(server, client, await proof(), refresh, settings())
        return tokensOf(await oauth.processRefreshTokenResponse(server, client, answer))
      } catch (error) {
        if (isRefusal(error)) return null
        throw new CompopsError(`GitLab does not answer: ${describeError(error)}`, { cause: error, transient: true })
      }
    },

    async revoke(token) {
      try {
        await oauth.processRevocationResponse(
          await oauth.revocationRequest(server, client, await proof(), token, settings()),
        )
      } catch {
        // It runs out within two hours.
      }
    },
  }
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof oauth.AuthorizationResponseError ||
    (error instanceof oauth.ResponseBodyError && error.status < 500) ||
    (error instanceof oauth.OperationProcessingError && error.code === oauth.INVALID_RESPONSE)
  )
}

function refusalOf(error: unknown): string {
  if (error instanceof oauth.AuthorizationResponseError)
    return error.error === 'access_denied'
      ? 'You did not let ComputationalOps see who you are, so nobody is signed in'
      : `GitLab refused to sign you in: ${error.error}`
  if (error instanceof oauth.ResponseBodyError) return `GitLab refused to sign you in: ${error.error}`
  if (isRefusal(error)) return 'This sign-in was begun elsewhere, or is too old: please begin again'
  return 'GitLab does not answer at present, and only GitLab can say who you are'
}
