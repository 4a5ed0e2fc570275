"""Files of Google's credentials, all of them made up, and each with canaries where secrets stand."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

REFRESH = "canary-refresh-token"
CLIENT_SECRET = "canary-client-secret"
TOKEN_URL = "http://127.0.0.1:9/token"


@cache
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account(project: str = "my-project", token_url: str = TOKEN_URL) -> dict[str, Any]:
    return {
        "type": "service_account", "project_id": project, "private_key_id": "1", "private_key": private_key(),
        "client_email": f"robot@{project}.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_url,
    }  # fmt: skip


def authorized_user(**more: str) -> dict[str, Any]:
    """What `gcloud auth application-default login` leaves."""
    return {
        "type": "authorized_user", "client_id": "the-client", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH,
        **more,
    }  # fmt: skip


def impersonated() -> dict[str, Any]:
    name = "robot@my-project.iam.gserviceaccount.com"
    return {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": (
            f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{name}:generateAccessToken"
        ),
        "source_credentials": authorized_user(),
    }


def federated_user() -> dict[str, Any]:
    return {
        "type": "external_account_authorized_user", "client_id": "the-client", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH, "token_url": "https://sts.googleapis.com/v1/oauthtoken",
        "token_info_url": "https://sts.googleapis.com/v1/introspect",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/w/providers/p",
    }  # fmt: skip


def workload(**source: Any) -> dict[str, Any]:
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": source,
    }


def on_aws() -> dict[str, Any]:
    found = workload(
        environment_id="aws1",
        regional_cred_verification_url="https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    )
    return {**found, "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}
