//! An operator: a service account with a key, or a person with a session on a terminal.
//!
//! Called by the tests through [`World`](crate::World). Nothing here retries or checks: a reply is what the daemon said.

use std::sync::Arc;

use paraphe_proto::jwt::{ClientJwt, dpop, sign_client_jwt};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1::admin_client::AdminClient;
use paraphe_proto::v1::enrolment_client::EnrolmentClient;
use paraphe_proto::v1::session_client::SessionClient;
use paraphe_proto::v1::{
    Activation, AuditEntry, Case, Check, ConfirmActivationRequest, GetActivationRequest,
    GetStatementsRequest, IssueActivationRequest, IssueActivationResponse, ListAuditEntriesRequest,
    OpenCaseRequest, RecordEvidenceRequest, Statements,
};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::clock::unique;
use crate::specimen::Specimen;
use crate::world::{Link, bearer, with_header};

/// What an operator proves itself with.
pub enum Credential {
    /// A service account: its own key.
    Key(SoftwareKey),
    /// A session token, bound to the terminal's key (RFC 9449).
    Session {
        /// The terminal.
        terminal: SoftwareKey,
        /// The token.
        token: String,
    },
}

/// An operator with a credential.
pub struct Operator {
    link: Arc<Link>,
    /// `opr_…`
    pub id: String,
    /// How it signs.
    pub credential: Credential,
}

/// The full name of a method.
#[must_use]
pub fn path(service: &str, method: &str) -> String {
    format!("/paraphe.v1.{service}/{method}")
}

impl Operator {
    /// A service account.
    #[must_use]
    pub fn service(link: Arc<Link>, id: &str, key: SoftwareKey) -> Self {
        Self {
            link,
            id: id.to_owned(),
            credential: Credential::Key(key),
        }
    }

    /// A person with a session.
    #[must_use]
    pub fn session(link: Arc<Link>, id: &str, terminal: SoftwareKey, token: String) -> Self {
        Self {
            link,
            id: id.to_owned(),
            credential: Credential::Session { terminal, token },
        }
    }

    /// A request of this operator for one method.
    #[must_use]
    pub fn authorise<T>(&self, message: T, path: &str) -> Request<T> {
        match &self.credential {
            Credential::Key(key) => bearer(message, &self.token(key)),
            Credential::Session { terminal, token } => {
                let (issuer, now) = (&self.link.issuer, self.link.now());
                let proof = dpop::sign(terminal, path, issuer, Some(token), now, &unique()).expect("a proof");
                let mut request = Request::new(message);
                with_header(&mut request, "authorization", &format!("DPoP {token}"));
                with_header(&mut request, "dpop", &proof);
                request
            }
        }
    }

    fn token(&self, key: &SoftwareKey) -> String {
        let (iss, iat) = (self.id.clone(), self.link.now());
        let claims = ClientJwt {
            sub: iss.clone(),
            iss,
            iat,
            exp: iat.plus_s(300),
            jti: None,
        };
        sign_client_jwt(key, &claims, &self.link.issuer).expect("a token")
    }

    /// `Enrolment`, without credentials.
    #[must_use]
    pub fn enrolment(&self) -> EnrolmentClient<Channel> {
        EnrolmentClient::new(self.link.channel())
    }

    /// `Admin`, without credentials.
    #[must_use]
    pub fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.link.channel())
    }

    /// `Session`, without credentials.
    #[must_use]
    pub fn sessions(&self) -> SessionClient<Channel> {
        SessionClient::new(self.link.channel())
    }

    /// `OpenCase`.
    pub async fn open_case(&self, channel: &str) -> Result<Case, Status> {
        let message = OpenCaseRequest {
            channel: channel.to_owned(),
        };
        let request = self.authorise(message, &path("Enrolment", "OpenCase"));
        Ok(self.enrolment().open_case(request).await?.into_inner())
    }

    /// `RecordEvidence` with the counter's two checks.
    pub async fn record(&self, case_id: &str, mrz: &str) -> Result<Case, Status> {
        let checks = vec![Check::DocumentGenuine.into(), Check::HolderLikeness.into()];
        let message = RecordEvidenceRequest {
            case_id: case_id.to_owned(),
            mrz: mrz.to_owned(),
            checks,
            accepted: true,
            birthplace: String::new(),
        };
        self.record_evidence(message).await
    }

    /// `RecordEvidence`.
    pub async fn record_evidence(&self, message: RecordEvidenceRequest) -> Result<Case, Status> {
        let request = self.authorise(message, &path("Enrolment", "RecordEvidence"));
        Ok(self.enrolment().record_evidence(request).await?.into_inner())
    }

    /// `IssueActivation`. Its code and its QR text count as secrets of the world.
    pub async fn issue(&self, case_id: &str) -> Result<IssueActivationResponse, Status> {
        let message = IssueActivationRequest {
            case_id: case_id.to_owned(),
        };
        let request = self.authorise(message, &path("Enrolment", "IssueActivation"));
        let issued = self.enrolment().issue_activation(request).await?.into_inner();
        self.link.keep_secret(&issued.code);
        self.link.keep_secret(&issued.code.replace('-', ""));
        Ok(issued)
    }

    /// From an opened case to the issued activation of a person.
    pub async fn invite(&self, who: &Specimen) -> IssueActivationResponse {
        self.link.keep_person(who);
        let case = self.open_case("counter").await.expect("a case");
        self.record(&case.case_id, &who.mrz())
            .await
            .expect("the evidence is taken");
        self.issue(&case.case_id).await.expect("an activation")
    }

    /// `GetActivation`.
    pub async fn activation(&self, activation_id: &str) -> Result<Activation, Status> {
        let message = GetActivationRequest {
            activation_id: activation_id.to_owned(),
        };
        let request = self.authorise(message, &path("Enrolment", "GetActivation"));
        Ok(self.enrolment().get_activation(request).await?.into_inner())
    }

    /// `ConfirmActivation`.
    pub async fn confirm(&self, activation_id: &str, code: &str) -> Result<Activation, Status> {
        let message = ConfirmActivationRequest {
            activation_id: activation_id.to_owned(),
            code: code.to_owned(),
        };
        let request = self.authorise(message, &path("Enrolment", "ConfirmActivation"));
        Ok(self.enrolment().confirm_activation(request).await?.into_inner())
    }

    /// The whole audit trail.
    pub async fn audit(&self) -> Vec<AuditEntry> {
        let mut all: Vec<AuditEntry> = Vec::new();
        loop {
            let message = ListAuditEntriesRequest {
                after: all.last().map_or(0, |e| e.number),
                page_size: 500,
            };
            let request = self.authorise(message, &path("Admin", "ListAuditEntries"));
            let page = self
                .admin()
                .list_audit_entries(request)
                .await
                .expect("an auditor reads");
            let page = page.into_inner().entries;
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The audit entries on one target.
    pub async fn audit_of(&self, target: &str) -> Vec<AuditEntry> {
        let mut all = self.audit().await;
        all.retain(|entry| entry.target == target);
        all
    }

    /// `GetStatements`.
    pub async fn statements(&self, challenge_id: &str) -> Result<Statements, Status> {
        let message = GetStatementsRequest {
            challenge_id: challenge_id.to_owned(),
        };
        let request = self.authorise(message, &path("Admin", "GetStatements"));
        Ok(self.admin().get_statements(request).await?.into_inner())
    }
}
