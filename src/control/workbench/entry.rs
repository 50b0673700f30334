//! The doors: signing in and out, the first owner, invitations, and what happens to a form whose session has ended.

use super::answer::{counted, page, page_of, page_with, see};
use super::form::{Form, with_query};
use super::shell::{Section, Shell};
use super::visit::{FormCookie, Stranger, Visit, closed, opened};
use super::words::sentence;
use super::{Bench, Workbench};
use crate::control::api::Refusal;
use crate::control::passwords::{self, MAX_CHARS, MIN_CHARS};
use crate::control::{
    Asking, Caller, ControlProblem, FieldError, FieldErrors, MemberDraft, OrganizationDraft, SignInDraft, SignedIn,
};
use crate::model::{Act, Identifier, TokenKind};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use zeroize::Zeroizing;

/// The most members that are looked at for one who was added and has no password yet.
const MOST_MEMBERS: u32 = 1000;

/// Signing in by email and password.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    shell: Shell,
    csrf: String,
    email: &'a str,
    next: &'a str,
    /// A form that was sent without a session: where to, and what it held.
    carried_to: &'a str,
    carried: &'a str,
    problem: &'a str,
    is_wait: bool,
}

/// A form that is taken up again after signing in.
#[derive(Template)]
#[template(path = "resume.html")]
struct ResumePage<'a> {
    shell: Shell,
    csrf: &'a str,
    action: &'a str,
    fields: Vec<(String, String)>,
}

/// The first owner, by the one-time link.
#[derive(Template)]
#[template(path = "first_run.html")]
struct FirstRunPage<'a> {
    shell: Shell,
    csrf: String,
    token: &'a str,
    /// Whether the link still counts.
    counts: bool,
    /// Id, name, whether it is chosen.
    organizations: Vec<(Identifier, String, bool)>,
    organization: &'a str,
    email: &'a str,
    name: &'a str,
    errors: Vec<FieldError>,
    problem: &'a str,
    min: usize,
}

/// A password to be set, by an invitation.
#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage<'a> {
    shell: Shell,
    csrf: String,
    token: &'a str,
    problem: &'a str,
    min: usize,
    max: usize,
}

/// No organization to show.
#[derive(Template)]
#[template(path = "no_organization.html")]
struct NoOrganizationPage {
    shell: Shell,
}

/// Errors for one field of a form.
pub(super) fn of_field(errors: &[FieldError], pointer: &str) -> Vec<String> {
    let about = |error: &&FieldError| {
        error.pointer.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    errors.iter().filter(about).map(|error| sentence(&error.message)).collect()
}

impl FirstRunPage<'_> {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer)
    }
}

/// Where somebody belongs who is signed in: the first of their organizations.
pub(super) async fn home(visit: Visit) -> Result<Response, Refusal> {
    let organizations = visit.control().list_organizations(&visit.asking.caller).await?;
    let seen =
        organizations.iter().find(|facts| visit.asking.caller.require(crate::control::Right::See, &facts.id).is_ok());
    match seen.or(organizations.first()) {
        Some(facts) => Ok(see(&format!("/o/{}", facts.id))),
        None => page(&NoOrganizationPage { shell: visit.shell(Section::Nowhere, "No organization").await }),
    }
}

/// Where an organization begins: its first environment's overview.
pub(super) async fn organization(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.place.organization()?;
    visit.control().organization(&visit.asking, &id).await?;
    let shell = visit.shell_of(&id, Section::Overview, "").await;
    let base = shell.here.map(|here| here.environment_base).filter(|base| !base.is_empty());
    Ok(see(&base.map_or_else(|| format!("/o/{id}/base-urls"), |base| format!("{base}/overview"))))
}

pub(super) async fn sign_in_page(stranger: Stranger) -> Result<Response, Refusal> {
    let next = own_path(stranger.query.text("next").unwrap_or_default());
    if stranger.session.is_some() {
        return Ok(see(next));
    }
    if stranger.from_elsewhere && !stranger.query.has("again") {
        return Ok(once_more(&stranger));
    }
    show_sign_in(&stranger, StatusCode::OK, "", None)
}

/// The browser keeps a strict cookie back where another site's page leads here. A page of ours that asks again gets it.
fn once_more(stranger: &Stranger) -> Response {
    let next = stranger.query.text("next").unwrap_or_default();
    let again = with_query("/sign-in", &[("next", own_path(next)), ("again", "1")]);
    ([(header::REFRESH, format!("0; url={again}"))], StatusCode::OK).into_response()
}

fn show_sign_in(
    stranger: &Stranger,
    status: StatusCode,
    problem: &str,
    refusal: Option<&Refusal>,
) -> Result<Response, Refusal> {
    let Stranger { bench, form, query, cookie, .. } = stranger;
    let next = form.text("next").or_else(|| query.text("next")).unwrap_or_default();
    let template = SignInPage {
        shell: Shell::bare(bench).titled("Sign in"),
        csrf: cookie.csrf(),
        email: form.text("email").unwrap_or_default(),
        next: own_path(next),
        carried_to: form.text("carried_to").unwrap_or_default(),
        carried: form.text("carried").unwrap_or_default(),
        problem,
        is_wait: status == StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = match refusal {
        Some(refusal) => page_with(refusal, &template)?,
        None => page_of(status, &template)?,
    };
    cookie.put(&bench.control, &mut response);
    Ok(response)
}

/// A form came in without a session: its sender signs in and goes on with it.
pub(super) fn ended(bench: &Bench, cookie: FormCookie, target: &str, form: &Form) -> Response {
    let carried = form.to_field();
    let template = SignInPage {
        shell: Shell::bare(bench).titled("Sign in"),
        csrf: cookie.csrf(),
        email: "",
        next: "/",
        carried_to: target,
        carried: &carried,
        problem: "",
        is_wait: false,
    };
    let mut response = match page_of(StatusCode::UNAUTHORIZED, &template) {
        Ok(response) => response,
        Err(refusal) => return refusal.into_response(),
    };
    cookie.put(&bench.control, &mut response);
    response
}

pub(super) async fn sign_in(stranger: Stranger) -> Result<Response, Refusal> {
    let draft = SignInDraft {
        email: Some(stranger.form.text("email").unwrap_or_default().to_owned()),
        password: Some(stranger.form.secret("password").unwrap_or_default()),
        ..SignInDraft::default()
    };
    let signed_in = stranger.bench.control.sign_in(&stranger.act, draft, FieldErrors::default()).await;
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(problem) => {
            let refusal = Refusal::from(problem);
            let words = match refusal.status() {
                StatusCode::UNAUTHORIZED => "The email address or the password is not right.".to_owned(),
                StatusCode::UNPROCESSABLE_ENTITY => "Give your email address and your password.".to_owned(),
                StatusCode::TOO_MANY_REQUESTS => {
                    let seconds = refusal.retry_after().unwrap_or(1);
                    format!("Too many attempts. Try again in {seconds} seconds.")
                }
                _ => return Err(refusal),
            };
            return show_sign_in(&stranger, refusal.status(), &words, Some(&refusal));
        }
    };
    stranger.end_session_before().await;
    let carried_to = own_path(stranger.form.text("carried_to").unwrap_or_default());
    if carried_to != "/" {
        return resume(&stranger, &signed_in, carried_to);
    }
    Ok(entered(&stranger.bench, &signed_in, own_path(stranger.form.text("next").unwrap_or_default())))
}

/// Shows what was typed before the session ended, to be sent again by whoever typed it.
fn resume(stranger: &Stranger, signed_in: &SignedIn, action: &str) -> Result<Response, Refusal> {
    let carried = Form::of_field(stranger.form.text("carried").unwrap_or_default());
    let template = ResumePage {
        shell: Shell::bare(&stranger.bench).titled("Signed in again"),
        csrf: &super::visit::csrf_of(signed_in.token.expose()),
        action,
        fields: carried.carried().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    let mut response = page(&template)?;
    hand_over(&stranger.bench, signed_in, response.headers_mut());
    Ok(response)
}

impl Stranger {
    /// Whoever signs in anew leaves no session behind in the same browser. That it stays is no reason to let nobody in.
    async fn end_session_before(&self) {
        let Some((token, asking)) = &self.session else { return };
        let digest = crate::model::SecretDigest::of(token.as_bytes());
        if let Err(problem) = self.bench.control.end_session(asking, &digest).await {
            tracing::warn!("control: the session before a sign-in stays: {problem}");
        }
    }
}

fn entered(bench: &Workbench, signed_in: &SignedIn, next: &str) -> Response {
    let mut response = see(next);
    hand_over(bench, signed_in, response.headers_mut());
    response
}

fn hand_over(bench: &Workbench, signed_in: &SignedIn, headers: &mut HeaderMap) {
    if let Some(cookie) = opened(&bench.control, signed_in.token.expose()) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Only paths of ours are gone on to.
fn own_path(text: &str) -> &str {
    let sound =
        text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let known = text.starts_with("/o/") || text == "/account";
    if sound && known { text } else { "/" }
}

pub(super) async fn sign_out(State(bench): State<Bench>, visit: Visit) -> Result<Response, Refusal> {
    visit.control().end_session(&visit.asking, &visit.session).await?;
    let mut response = see("/sign-in");
    if let Some(cookie) = closed(&bench.control) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn first_run_page(stranger: Stranger) -> Result<Response, Refusal> {
    let token = Zeroizing::new(stranger.query.text("token").unwrap_or_default().to_owned());
    show_first_run(&stranger, &token, vec![], None).await
}

async fn show_first_run(
    stranger: &Stranger,
    token: &str,
    errors: Vec<FieldError>,
    refusal: Option<&Refusal>,
) -> Result<Response, Refusal> {
    let Stranger { bench, form, cookie, .. } = stranger;
    let counts = operator(stranger, token).await?.is_some();
    let organizations = if counts { bench.control.list_organizations(&Caller::Operator).await? } else { vec![] };
    let problem = refusal.filter(|refusal| refusal.status() != StatusCode::UNPROCESSABLE_ENTITY);
    let problem = problem.map_or_else(String::new, |refusal| sentence(refusal.detail()));
    let chosen = form.text("organization").unwrap_or_default();
    let template = FirstRunPage {
        shell: Shell::bare(bench).titled("Create the first owner"),
        csrf: cookie.csrf(),
        token,
        counts,
        organizations: organizations
            .into_iter()
            .map(|facts| (facts.id.clone(), facts.name, facts.id.as_str() == chosen))
            .collect(),
        organization: chosen,
        email: form.text("email").unwrap_or_default(),
        name: form.text("name").unwrap_or_default(),
        errors,
        problem: &problem,
        min: MIN_CHARS,
    };
    let mut response = match refusal {
        Some(refusal) => page_with(refusal, &template)?,
        None if counts => page(&template)?,
        None => {
            let problem = ControlProblem::NotAuthenticated("this is not the bootstrap token, or it has ended");
            counted(problem.into(), page_of(StatusCode::GONE, &template)?)
        }
    };
    cookie.put(&bench.control, &mut response);
    Ok(response)
}

/// The node's operator, where this is the bootstrap token.
async fn operator(stranger: &Stranger, token: &str) -> Result<Option<Asking>, Refusal> {
    if TokenKind::of(token) != Some(TokenKind::Operator) {
        return Ok(None);
    }
    let act = &stranger.act;
    match stranger.bench.control.authenticate(token, act.address, act.at, false).await {
        Ok(caller) => Ok(Some(Asking { act: Act { actor: caller.actor(), ..act.clone() }, caller })),
        Err(crate::control::Unproven::Problem(problem)) => Err(problem.into()),
        Err(crate::control::Unproven::Nobody | crate::control::Unproven::Refused(_)) => Ok(None),
    }
}

pub(super) async fn first_run(stranger: Stranger) -> Result<Response, Refusal> {
    let token = stranger.form.secret("token").unwrap_or_default();
    let Some(asking) = operator(&stranger, &token).await? else {
        return show_first_run(&stranger, &token, vec![], None).await;
    };
    match make_owner(&stranger, &asking).await {
        Ok(signed_in) => Ok(entered(&stranger.bench, &signed_in, "/")),
        Err(problem) => {
            let errors = match &problem {
                ControlProblem::Invalid(errors) => errors.clone().into_vec(),
                _ => vec![],
            };
            show_first_run(&stranger, &token, errors, Some(&problem.into())).await
        }
    }
}

/// Makes an owner who is an operator too, and signs them in, which ends the bootstrap token.
async fn make_owner(stranger: &Stranger, asking: &Asking) -> Result<SignedIn, ControlProblem> {
    let (control, form) = (&stranger.bench.control, &stranger.form);
    let password = form.secret("password").unwrap_or_default();
    let mut errors = FieldErrors::default();
    let email = crate::model::Email::parse(form.text("email").unwrap_or_default());
    if let Err(message) = passwords::judge(&password, email.as_ref().ok()) {
        errors.add("/password", "password_invalid", message);
    }
    if let Err(error) = &email {
        errors.add("/email", "email_invalid", error.to_string());
    }
    let organization = Identifier::parse(form.text("organization").unwrap_or_default().trim());
    if let Err(error) = &organization {
        errors.add("/organization", "organization_invalid", error.to_string());
    }
    let organization = errors.or(organization.ok())?;
    if control.list_organizations(&Caller::Operator).await?.is_empty() {
        let draft = OrganizationDraft { name: Some(organization.to_string()), ..OrganizationDraft::default() };
        control.put_organization(asking, &organization, draft, FieldErrors::default(), None).await?;
    }
    let draft = MemberDraft {
        email: form.text("email").map(str::to_owned),
        name: form.text("name").map(str::to_owned),
        role: Some("owner".to_owned()),
        operator: Some(true),
        link: None,
    };
    let added = control.add_member(asking, &organization, draft, FieldErrors::default()).await;
    let invitation = match added {
        Err(ControlProblem::EmailTaken(said)) => match again(stranger, asking, &organization).await? {
            Some(invitation) => Some(invitation),
            None => return Err(ControlProblem::EmailTaken(said)),
        },
        added => added?.invitation.map(|(token, _)| token),
    };
    let invitation = invitation.map(|token| Zeroizing::new(token.expose().to_owned()));
    let draft = SignInDraft { invitation, password: Some(password), ..SignInDraft::default() };
    control.sign_in(&stranger.act, draft, FieldErrors::default()).await
}

/// An invitation for whoever was added before and did not get any further.
async fn again(
    stranger: &Stranger,
    asking: &Asking,
    organization: &Identifier,
) -> Result<Option<crate::model::OpaqueToken>, ControlProblem> {
    let control = &stranger.bench.control;
    let email = stranger.form.text("email").unwrap_or_default().trim().to_lowercase();
    let members = control.list_members(asking, organization, None, MOST_MEMBERS).await?.members;
    let known =
        members.into_iter().find(|member| member.email.folded() == email && !member.has_password && member.operator);
    let Some(member) = known else { return Ok(None) };
    let invited = control.invite_member(asking, organization, &member.id, Some(member.revision)).await?;
    Ok(invited.invitation.map(|(token, _)| token))
}

pub(super) async fn invitation_page(stranger: Stranger) -> Result<Response, Refusal> {
    let token = Zeroizing::new(stranger.query.text("token").unwrap_or_default().to_owned());
    show_invitation(&stranger, &token, "", None)
}

fn show_invitation(
    stranger: &Stranger,
    token: &str,
    problem: &str,
    refusal: Option<&Refusal>,
) -> Result<Response, Refusal> {
    let template = InvitationPage {
        shell: Shell::bare(&stranger.bench).titled("Set your password"),
        csrf: stranger.cookie.csrf(),
        token,
        problem,
        min: MIN_CHARS,
        max: MAX_CHARS,
    };
    let mut response = match refusal {
        Some(refusal) => page_with(refusal, &template)?,
        None => page(&template)?,
    };
    stranger.cookie.put(&stranger.bench.control, &mut response);
    Ok(response)
}

pub(super) async fn invitation(stranger: Stranger) -> Result<Response, Refusal> {
    let token = stranger.form.secret("token").unwrap_or_default();
    let draft = SignInDraft {
        invitation: Some(token.clone()),
        password: Some(stranger.form.secret("password").unwrap_or_default()),
        ..SignInDraft::default()
    };
    match stranger.bench.control.sign_in(&stranger.act, draft, FieldErrors::default()).await {
        Ok(signed_in) => Ok(entered(&stranger.bench, &signed_in, "/")),
        Err(
            problem @ (ControlProblem::Invalid(_)
            | ControlProblem::NotAuthenticated(_)
            | ControlProblem::RateLimited { .. }),
        ) => {
            let words = match &problem {
                ControlProblem::Invalid(errors) => errors.clone().into_vec().into_iter().map(|e| e.message).next(),
                _ => None,
            };
            let words = sentence(&words.unwrap_or_else(|| problem.to_string()));
            show_invitation(&stranger, &token, &words, Some(&problem.into()))
        }
        Err(problem) => Err(problem.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for own in ["/o/acme", "/o/acme/e/production/keys?q=a", "/account"] {
            assert_eq!(own_path(own), own);
        }
        for other in
            ["", "/", "//evil.example", "/\\evil.example", "https://evil.example", "/o/a\r\nx", "/v1/status", "o/a"]
        {
            assert_eq!(own_path(other), "/");
        }
    }
}
